/** A private certificate authority and a server certificate of it, made by openssl when a test wants them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * @returns {{ directory: string, cert: string, key: string, ca: string, remove: () => void }} file names, and the CA's
 *   certificate as PEM; the server's certificate is for localhost and 127.0.0.1
 */
export function makeAuthority() {
  const directory = mkdtempSync(path.join(tmpdir(), 'ringdial-tls-'));
  const file = (/** @type {string} */ name) => path.join(directory, name);
  const openssl = (/** @type {string[]} */ ...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  writeFileSync(file('server.ext'), 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n');
  openssl('req', '-x509', ...newKey, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-days', '2', '-subj', '/CN=Ringdial test authority');
  openssl('req', ...newKey, '-keyout', file('server.key'), '-out', file('server.csr'), '-subj', '/CN=localhost');
  const sign = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', file('server.ext')];
  openssl('x509', '-req', '-in', file('server.csr'), '-out', file('server.pem'), ...sign);
  const remove = () => rmSync(directory, { recursive: true, force: true });
  return { directory, cert: file('server.pem'), key: file('server.key'), ca: readFileSync(file('ca.pem'), 'utf8'), remove };
}
