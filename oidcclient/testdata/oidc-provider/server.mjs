// An OpenID provider that others wrote and had certified, with its own login
// and consent pages, for the tests. Everything is in memory and for loopback.
//
//   node server.mjs [port]
//
// When it serves, it prints one line of JSON: issuer, clientId, clientSecret,
// redirectUri. Any login name exists; its sub is the name, every password is
// right. It ends when its standard input does, so that it never outlives a test.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { Provider } from 'oidc-provider';

const redirectUri = 'com.bank.app:/oauth2';
const clientSecret = randomBytes(32).toString('base64url');

// signingKey is a fresh P-256 key as a JWK.
function signingKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: randomBytes(8).toString('hex') };
}

function configuration() {
  return {
    clients: [{
      client_id: 'stile',
      client_secret: clientSecret,
      client_name: 'Stile',
      application_type: 'native',
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'ES256',
    }],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    jwks: { keys: [signingKey()] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    features: { devInteractions: { enabled: true } },
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
  server.on('request', new Provider(issuer, configuration()).callback());
  console.log(JSON.stringify({ issuer, clientId: 'stile', clientSecret, redirectUri }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
