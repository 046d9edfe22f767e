// An OAuth 2.0 server without OpenID Connect, on a library that others wrote
// (@node-oauth/oauth2-server), for the tests: no discovery, no ID token, users
// are numbers. Everything is in memory and for loopback.
//
//   node oauth2.mjs
//
// When it serves, it prints one line of JSON: issuer, clientId, clientSecret,
// redirectUri. Every login name exists, with every password. It ends when its
// standard input does.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import OAuth2Server from '@node-oauth/oauth2-server';

const { Request, Response } = OAuth2Server;
const redirectUri = 'com.bank.app:/oauth2';
const clientSecret = randomBytes(32).toString('base64url');
const client = { id: 'stile', grants: ['authorization_code'], redirectUris: [redirectUri] };

const codes = new Map();
const tokens = new Map();
const users = new Map(); // login name -> user

function user(login) {
  if (!users.has(login)) users.set(login, { id: 4200 + users.size, login, email: `${login}@bank.example` });
  return users.get(login);
}

const model = {
  getClient: (id, secret) => (id === client.id && (secret === null || secret === clientSecret) ? client : null),
  validateScope: (user, client, scope) => scope,
  saveAuthorizationCode: (code, client, user) => {
    const saved = { ...code, client, user };
    codes.set(code.authorizationCode, saved);
    return saved;
  },
  getAuthorizationCode: (code) => codes.get(code),
  revokeAuthorizationCode: ({ authorizationCode }) => codes.delete(authorizationCode),
  saveToken: (token, client, user) => {
    const saved = { ...token, client, user };
    tokens.set(token.accessToken, saved);
    return saved;
  },
  getAccessToken: (token) => tokens.get(token),
};

const oauth = new OAuth2Server({ model });
const page = '<!doctype html><title>Sign in</title><form method="post"><input name="login"><input name="password" type="password"><button>Sign in</button></form>';

async function read(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return Object.fromEntries(new URLSearchParams(text));
}

async function answer(req, res, url) {
  const form = await read(req);
  if (url.pathname === '/authorize' && req.method === 'GET') {
    return res.writeHead(200, { 'content-type': 'text/html' }).end(page);
  }
  const request = new Request({ method: req.method, headers: req.headers, query: Object.fromEntries(url.searchParams), body: form });
  const response = new Response();
  switch (url.pathname) {
    case '/authorize':
      await oauth.authorize(request, response, { authenticateHandler: { handle: () => user(form.login) } });
      break;
    case '/token':
      await oauth.token(request, response);
      break;
    case '/user':
      response.body = (await oauth.authenticate(request, response)).user;
      break;
    default:
      response.status = 404;
  }
  res.writeHead(response.status, { 'content-type': 'application/json', ...response.headers }).end(JSON.stringify(response.body));
}

const server = createServer((req, res) => {
  answer(req, res, new URL(req.url, 'http://127.0.0.1')).catch((e) => {
    const body = JSON.stringify({ error: e.name, error_description: e.message });
    res.writeHead(e.code ?? 500, { 'content-type': 'application/json' }).end(body);
  });
});
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ issuer, clientId: client.id, clientSecret, redirectUri }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
