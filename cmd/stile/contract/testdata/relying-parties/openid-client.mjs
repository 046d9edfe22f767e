import * as client from 'openid-client'
import { asked, back, importKey, run, say } from './talk.mjs'

const authentication = async () => {
  switch (asked.auth) {
    case 'client_secret_basic': return client.ClientSecretBasic(asked.secret)
    case 'client_secret_post': return client.ClientSecretPost(asked.secret)
    case 'private_key_jwt': return client.PrivateKeyJwt({ key: await importKey(asked.key), kid: asked.key.kid })
    default: return client.None()
  }
}

await run(async () => {
  const config = await client.discovery(new URL(asked.issuer), asked.client, {
    id_token_signed_response_alg: 'ES256', require_auth_time: true, use_mtls_endpoint_aliases: false,
  }, await authentication())
  client.enableNonRepudiationChecks(config)
  const options = asked.dpop ? { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) } : {}
  const verifier = client.randomPKCECodeVerifier()
  const checks = {
    pkceCodeVerifier: verifier, expectedNonce: client.randomNonce(), expectedState: client.randomState(), idTokenExpected: true,
  }
  if (asked.more.max_age) checks.maxAge = Number(asked.more.max_age)
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: asked.redirect, scope: asked.scope, state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...asked.more,
  })
  say({ url: url.href })
  const { address, form } = await back()
  const response = form ? new Request(address, { method: 'POST', body: new URLSearchParams(form) }) : new URL(address)
  const tokens = await client.authorizationCodeGrant(config, response, checks, undefined, options)
  const claims = tokens.claims()
  const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub, options)
  const newer = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options)
  const out = { claims, info, type: tokens.token_type, refreshed: newer.claims(), access: newer.access_token }
  if (asked.auth !== 'none') out.introspected = await client.tokenIntrospection(config, newer.access_token)
  await client.tokenRevocation(config, newer.refresh_token)
  out.revoked = await client.refreshTokenGrant(config, newer.refresh_token, undefined, options).then(() => '', (err) => err.error)
  return out
})
