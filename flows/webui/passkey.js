// Asks the browser for a passkey when the form is sent, and sends what it gives.
(() => {
  const form = document.querySelector("form[data-ceremony]");
  const button = form.querySelector("button[data-go]");
  const note = document.getElementById("note");
  const words = form.dataset;
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    note.textContent = words.unable;
    return;
  }
  button.disabled = false;
  form.addEventListener("submit", async (event) => {
    if (event.submitter !== button) return; // back, another way, cancel
    event.preventDefault();
    button.disabled = true;
    note.textContent = "";
    try {
      const options = JSON.parse(words.options);
      const credential = words.ceremony === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch (e) {
      note.textContent = e.name === "InvalidStateError" ? words.known : words.failed;
      button.disabled = false;
      button.focus();
    }
  });
})();
