import * as oauth from 'oauth4webapi'
import { asked, back, importKey, run, say } from './talk.mjs'

const authentication = async () => {
  switch (asked.auth) {
    case 'client_secret_basic': return oauth.ClientSecretBasic(asked.secret)
    case 'client_secret_post': return oauth.ClientSecretPost(asked.secret)
    case 'private_key_jwt': return oauth.PrivateKeyJwt({ key: await importKey(asked.key), kid: asked.key.kid })
    default: return oauth.None()
  }
}

await run(async () => {
  const issuer = new URL(asked.issuer)
  // RFC 8414: the other document of the two.
  const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' })
  const as = await oauth.processDiscoveryResponse(issuer, found)
  const client = { client_id: asked.client, id_token_signed_response_alg: 'ES256', require_auth_time: true }
  const auth = await authentication()
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const dpop = asked.dpop ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined
  let asking = 0 // how often the server has asked for a nonce
  const again = async (ask, read) => {
    try {
      return await read(await ask())
    } catch (err) {
      if (!oauth.isDPoPNonceError(err)) throw err
      asking++
      return read(await ask()) // the handle has kept the nonce
    }
  }
  const url = new URL(as.authorization_endpoint)
  const parameters = {
    client_id: asked.client, response_type: 'code', redirect_uri: asked.redirect, scope: asked.scope, state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...asked.more,
  }
  if (dpop) parameters.dpop_jkt = await dpop.calculateThumbprint()
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  say({ url: url.href })
  const { address, form } = await back()
  const given = oauth.validateAuthResponse(as, client, form ? new URLSearchParams(form) : new URL(address), state)
  const tokens = await again(
    () => oauth.authorizationCodeGrantRequest(as, client, auth, given, asked.redirect, verifier, { DPoP: dpop }),
    async (response) => {
      const read = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
      await oauth.validateApplicationLevelSignature(as, response)
      return read
    })
  const claims = oauth.getValidatedIdTokenClaims(tokens)
  const info = await again(
    () => oauth.userInfoRequest(as, client, tokens.access_token, { DPoP: dpop }),
    (response) => oauth.processUserInfoResponse(as, client, claims.sub, response))
  const refresh = (token, handle) => again(
    () => oauth.refreshTokenGrantRequest(as, client, auth, token, { DPoP: handle }),
    (response) => oauth.processRefreshTokenResponse(as, client, response))
  const out = { claims, info, type: tokens.token_type, asking }
  if (dpop) {
    const thief = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
    out.stolen = await refresh(tokens.refresh_token, thief).then(() => '', (err) => err.error)
    out.bearer = (await fetch(as.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } })).status
  }
  const newer = await refresh(tokens.refresh_token, dpop)
  out.refreshed = oauth.getValidatedIdTokenClaims(newer)
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, newer.refresh_token))
  out.revoked = await refresh(newer.refresh_token, dpop).then(() => '', (err) => err.error)
  return out
})
