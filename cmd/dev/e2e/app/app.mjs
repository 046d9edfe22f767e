// A web app that drives flows: what a page with passkeys needs, and no more.
const base = new URL(location.href).searchParams.get("stile");

export class Flow {
  async start(body) {
    return this.#send("POST", "/v1/flows", { clientId: "web-app", ...body });
  }

  async answer(body) {
    const submit = this.view.nextStep.actions.find((a) => a.name === "submit");
    return this.#send(submit.method, submit.href, body);
  }

  // create makes a passkey for the prompt and answers with it.
  async create(name) {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(this.view.nextStep.data);
    const made = await navigator.credentials.create({ publicKey });
    return this.answer({ credential: made.toJSON(), name });
  }

  // get asks for a passkey and answers with it; tamper may change what is sent.
  async get({ mediation = "optional", tamper = (c) => c } = {}) {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(this.view.nextStep.data);
    const used = await navigator.credentials.get({ publicKey, mediation });
    this.last = used.toJSON();
    return this.answer({ credential: tamper(structuredClone(this.last)) });
  }

  // wait waits for something that happens elsewhere.
  async wait() {
    return this.#send("GET", "/v1/flow", undefined, { Prefer: "wait=25" });
  }

  async #send(method, href, body, more = {}) {
    const headers = { "Content-Type": "application/json", ...more };
    if (this.handle) headers.Authorization = "Flow " + this.handle;
    const response = await fetch(base + href, { method, headers, body: JSON.stringify(body) });
    const doc = await response.json();
    this.handle = doc.handle ?? this.handle;
    if (doc.flow) this.view = doc;
    return {
      http: response.status, code: doc.code ?? "", status: doc.flow?.status ?? "", asks: doc.nextStep?.type ?? "",
      acr: doc.assurance?.acr ?? "", amr: doc.assurance?.amr ?? [], token: doc.result?.grant?.token ?? "",
    };
  }
}

// call asks an API, which has an origin of its own.
window.call = async (address, headers) => {
  const response = await fetch(address, { headers });
  const doc = await response.json();
  return { http: response.status, code: doc.code ?? "", status: String(doc.status ?? ""), challenge: response.headers.get("WWW-Authenticate") ?? "" };
};

window.Flow = Flow;
// outcome tells what became of a promise, whose failure is a name that the browser gives.
window.outcome = async (work) => {
  try {
    return await work();
  } catch (e) {
    return { error: e.name };
  }
};
window.ready = true;
