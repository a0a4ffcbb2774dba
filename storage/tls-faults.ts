/** A handshake or certificate that failed: trying again changes nothing. Node has codes, and no class, for these. */
export function isTlsCode(code: string): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(code);
}
