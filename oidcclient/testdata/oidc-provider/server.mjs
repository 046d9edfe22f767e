// An OpenID provider that others wrote and had certified, with its own login
// and consent pages, for the tests. Everything is in memory and for loopback.
//
//   node server.mjs [folder | http://address]
//
// With the address of a Stile node there is a client rp besides: it is told there of
// logouts, its refresh tokens rotate, and its access tokens live for forty seconds.
// With a folder, which has server.pem, server.key and ca.pem, it serves by TLS too;
// its metadata name these endpoints for clients with a certificate, and the client
// tls authenticates with the one whose CN is stile.
//
// When it serves, it prints one line of JSON: issuer, clientId, clientSecret,
// clientKey, redirectUri. Any login name exists; its sub is the name, every password
// is right. A line of standard input makes it sign with a new key; it ends when its
// standard input does, so that it never outlives a test.
//
// Besides the client that it names there is one for each way: post, key and public
// authenticate in these ways, pushed must push its requests, bound gets tokens for
// DPoP keys only, and alg-ALG gets ID tokens that are signed so.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecured } from 'node:https';

import { Provider } from 'oidc-provider';

const redirectUri = 'com.bank.app:/oauth2';
const clientSecret = randomBytes(32).toString('base64url');

const clientKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const algorithms = ['ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'EdDSA'];
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }); // takes long: one for all
const secrets = { cookies: randomBytes(32).toString('base64url'), nonces: randomBytes(32) };

// signingKey is a fresh key as a JWK.
function signingKey(alg) {
  const { privateKey } = {
    ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ES512: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    EdDSA: () => generateKeyPairSync('ed25519'),
  }[alg]?.() ?? rsa;
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: randomBytes(8).toString('hex') };
}

const keys = algorithms.map(signingKey);
const rp = process.argv[2]?.startsWith('http:') && process.argv[2];
const folder = rp ? undefined : process.argv[2];
let aliases; // endpoints for clients with a certificate

// client is a client in one way.
function client(id, more) {
  return {
    client_id: id,
    client_secret: clientSecret,
    client_name: 'Stile',
    application_type: 'native',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: 'ES256',
    ...more,
  };
}

function configuration() {
  const tls = folder ? [client('tls', { client_secret: undefined, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'stile' })] : [];
  const publicKey = { ...clientKey.publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'stile-1' };
  return {
    clients: [
      client('stile'),
      client('post', { token_endpoint_auth_method: 'client_secret_post' }),
      client('key', { client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [publicKey] } }),
      client('public', { client_secret: undefined, token_endpoint_auth_method: 'none' }),
      client('pushed', { require_pushed_authorization_requests: true }),
      ...tls,
      ...(rp ? [client('rp', {
        backchannel_logout_uri: `${rp}/v1/providers/corporate/backchannel-logout`,
        backchannel_logout_session_required: true,
        post_logout_redirect_uris: ['com.bank.app:/signed-out'],
      })] : []),
      client('bound', { dpop_bound_access_tokens: true }),
      ...[...algorithms, 'HS256'].map((alg) => client(`alg-${alg}`, { id_token_signed_response_alg: alg })),
    ],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none', ...(folder ? ['tls_client_auth'] : [])],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: [...algorithms, 'HS256'] },
    jwks: { keys },
    cookies: { keys: [secrets.cookies] },
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    ...(aliases && { discovery: { mtls_endpoint_aliases: aliases } }),
    features: {
      mTLS: {
        enabled: tls.length > 0,
        tlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.()?.toString(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) => ctx.socket.getPeerCertificate().subject.CN === expected,
      },
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: Boolean(rp) },
      revocation: { enabled: Boolean(rp) },
      dPoP: { enabled: true, nonceSecret: secrets.nonces, requireNonce: () => true },
      pushedAuthorizationRequests: { enabled: true },
    },
    findAccount: async (ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, email: `${id}@bank.example`, email_verified: true }),
    }),
    ...(rp && { rotateRefreshToken: () => true, fetch: (url, { dispatcher, ...options }) => fetch(url, options) }), // the node is on this machine
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: (ctx, token, client) => (client.clientId === 'rp' ? 40 : 600), RefreshToken: 600, AuthorizationCode: 60, IdToken: 300 },
  };
}

const server = createServer();
const pem = (name) => readFileSync(`${folder}/${name}`);
const secured = folder && createSecured({ cert: pem('server.pem'), key: pem('server.key'), ca: pem('ca.pem'), requestCert: true, rejectUnauthorized: false });
if (secured) await new Promise((done) => { secured.listen(0, '127.0.0.1', done); });
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  if (secured) {
    const base = `https://127.0.0.1:${secured.address().port}`;
    aliases = { token_endpoint: `${base}/token`, userinfo_endpoint: `${base}/me`, pushed_authorization_request_endpoint: `${base}/request` };
  }
  const serve = () => {
    const answer = new Provider(issuer, configuration()).callback();
    for (const s of secured ? [server, secured] : [server]) s.removeAllListeners('request').on('request', answer);
  };
  serve();
  const key = clientKey.privateKey.export({ format: 'pem', type: 'pkcs8' });
  console.log(JSON.stringify({ issuer, clientId: 'stile', clientSecret, clientKey: key, redirectUri }));
  process.stdin.on('data', () => {
    keys.splice(0, 1, signingKey('ES256')); // what else it remembers is in this process, and stays
    serve();
    console.log('{}');
  });
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
