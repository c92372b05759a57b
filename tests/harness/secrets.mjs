/**
 * Everything that must never appear in a log: the harness registers each secret it makes and each token or ticket it
 * sees, and every process's output is searched for them when its cluster stops - in every test.
 */

/** @type {Map<string, string>} secret -> what it is */
const secrets = new Map();

/** @type {Set<string>} signatures of all tokens and tickets seen: the part that makes them worth stealing */
const signatures = new Set();
const SIGNATURE = /[\w-]{43,}/g;

/** A JWT that carries a signature, in compact form: no log line has a reason to hold one, ours or not. */
const JWT = /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{16,}/;

/**
 * @param {string} what how it is called when it leaks; the secret itself is not repeated
 * @param {string} value @returns {string} the value
 */
export function registerSecret(what, value) {
  secrets.set(value, what);
  return value;
}

/** A signed token or ticket. @param {string} token @returns {string} the token */
export function registerToken(token) {
  const signature = token.split('.')[2];
  if (signature) signatures.add(signature);
  return token;
}

/**
 * The leaks in a process's output. @param {string} text @returns {string[]} one line per leak, with the secret blanked out
 */
export function leaksIn(text) {
  const leaks = [];
  for (const line of text.split('\n')) {
    if (JWT.test(line)) leaks.push(`a token or ticket in: ${line.replaceAll(new RegExp(JWT, 'g'), '[token]').slice(0, 300)}`);
    else if (line.match(SIGNATURE)?.some((run) => signatures.has(run))) leaks.push("a token's signature in a line of the log");
    for (const [secret, what] of secrets) {
      if (line.includes(secret)) leaks.push(`${what} in: ${line.replaceAll(secret, '[secret]').slice(0, 300)}`);
    }
  }
  return leaks;
}

/** Throws when a process's logs give a secret away. @param {Iterable<{ name: string, stderr: string, stdout: string }>} processes */
export function assertNoSecretsIn(processes) {
  const leaks = [...processes].flatMap(({ name, stderr, stdout }) => leaksIn(`${stderr}\n${stdout}`).map((leak) => `${name}: ${leak}`));
  if (leaks.length > 0) throw new Error(`${leaks.length} secrets in logs:\n${leaks.slice(0, 10).join('\n')}`);
}
