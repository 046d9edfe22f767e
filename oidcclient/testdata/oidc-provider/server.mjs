// An OpenID provider that others wrote and had certified, with its own login
// and consent pages, for the tests. Everything is in memory and for loopback.
//
//   node server.mjs [port]
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
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

const redirectUri = 'com.bank.app:/oauth2';
const clientSecret = randomBytes(32).toString('base64url');

const clientKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const algorithms = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'];
const secrets = { cookies: randomBytes(32).toString('base64url'), nonces: randomBytes(32) };

// signingKey is a fresh key as a JWK.
function signingKey(alg) {
  const { privateKey } = {
    ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    EdDSA: () => generateKeyPairSync('ed25519'),
  }[alg]();
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: randomBytes(8).toString('hex') };
}

const keys = algorithms.map(signingKey);

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
  const publicKey = { ...clientKey.publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: 'stile-1' };
  return {
    clients: [
      client('stile'),
      client('post', { token_endpoint_auth_method: 'client_secret_post' }),
      client('key', { client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [publicKey] } }),
      client('public', { client_secret: undefined, token_endpoint_auth_method: 'none' }),
      client('pushed', { require_pushed_authorization_requests: true }),
      client('bound', { dpop_bound_access_tokens: true }),
      ...algorithms.map((alg) => client(`alg-${alg}`, { id_token_signed_response_alg: alg })),
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: algorithms },
    jwks: { keys },
    cookies: { keys: [secrets.cookies] },
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    features: {
      devInteractions: { enabled: true },
      dPoP: { enabled: true, nonceSecret: secrets.nonces, requireNonce: () => true },
      pushedAuthorizationRequests: { enabled: true },
    },
    findAccount: async (ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, email: `${id}@bank.example`, email_verified: true }),
    }),
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, AuthorizationCode: 60, IdToken: 300 },
  };
}

const server = createServer();
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const serve = () => {
    server.removeAllListeners('request');
    server.on('request', new Provider(issuer, configuration()).callback());
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
