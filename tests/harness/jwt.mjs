/** JSON Web Tokens made by hand with node:crypto, good ones and bad ones. */
import { createHmac } from 'node:crypto';

/** @param {unknown} value */
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Seconds since the epoch, as JWTs count. */
export const nowSeconds = () => Math.floor(Date.now() / 1000);

/**
 * A token signed with HS256; it lasts an hour unless `claims.exp` says otherwise. A claim that is `undefined` is left out.
 * @param {Record<string, unknown>} claims
 * @param {string} secret
 * @param {Record<string, unknown>} [header]
 */
export function makeJwt(claims, secret, header = {}) {
  const body = { iat: nowSeconds(), exp: nowSeconds() + 3600, ...claims };
  const signed = `${encode({ alg: 'HS256', typ: 'JWT', ...header })}.${encode(body)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** A token without a signature, as `"alg": "none"` would have it. @param {Record<string, unknown>} claims */
export function makeUnsignedJwt(claims) {
  return `${encode({ alg: 'none', typ: 'JWT' })}.${encode({ exp: nowSeconds() + 3600, ...claims })}.`;
}

/** The same token with other claims and the old signature: what a forger would try. @param {string} token @param {Record<string, unknown>} changes */
export function tamperedJwt(token, changes) {
  const [header, , signature] = token.split('.');
  return `${header}.${encode({ ...claimsOf(token), ...changes })}.${signature}`;
}

/** The claims, unverified. @param {string} token @returns {Record<string, any>} */
export function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
}
