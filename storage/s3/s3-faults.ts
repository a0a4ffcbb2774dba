import { SmltError } from '../../contracts/errors';
import { isTlsCode } from '../tls-faults';

/** What the SDK's errors have in common; read by shape, since credential and socket errors have classes of their own. */
interface S3Failure {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export interface S3Where {
  readonly bucket: string;
  readonly endpoint: string;
}

function shapeOf(error: unknown): S3Failure {
  return typeof error === 'object' && error !== null ? error : {};
}

export function statusOf(error: unknown): number | undefined {
  return shapeOf(error).$metadata?.httpStatusCode;
}

export function nameOf(error: unknown): string {
  return shapeOf(error).name ?? '';
}

/** Put-if-absent found an object. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** Another conditional write of this name was under way: neither won nor lost, so try again. */
export function isConflict(error: unknown): boolean {
  return statusOf(error) === 409;
}

/** No such object; or, of a HEAD, which has no words, nothing at all: perhaps not even a bucket. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && (nameOf(error) === 'NoSuchKey' || isWordless(error));
}

/** The range that was asked for begins behind the object's end. */
export function isPast(error: unknown): boolean {
  return statusOf(error) === 416;
}

export function isWordless(error: unknown): boolean {
  return ['NotFound', 'Unknown', 'UnknownError'].includes(nameOf(error));
}

/** Worth another attempt: the server is busy or away, another conditional write was under way, or the network broke. */
export function isPassing(error: unknown): boolean {
  if (error instanceof SmltError || nameOf(error) === 'AbortError' || nameOf(error) === 'CredentialsProviderError') return false;
  const status = statusOf(error);
  const { code = '', message = '' } = shapeOf(error);
  if (status === undefined) return !isTlsCode(code) && !/^Region is missing/.test(message);
  return [408, 409, 429, 500, 502, 503, 504].includes(status) || nameOf(error) === 'RequestTimeout';
}

/** Turns the SDK's words into smlt's: what failed, where, and what to do. */
export function s3Fault(error: unknown, doing: string, { bucket, endpoint }: S3Where): unknown {
  if (error instanceof SmltError || nameOf(error) === 'AbortError') return error;
  const { name = '', code = '', message = '' } = shapeOf(error);
  const cause = { cause: error };
  const at = `${doing} at ${endpoint}`;
  const status = statusOf(error);
  switch (name) {
    case 'NoSuchBucket':
      return new SmltError('StoreDenied', `${at}: there is no bucket '${bucket}'; create it, or correct the URI`, cause);
    case 'InvalidAccessKeyId':
    case 'XAdminUserNotFound': // versitygw's word for it
    case 'SignatureDoesNotMatch':
    case 'InvalidToken':
    case 'ExpiredToken':
      return new SmltError(
        'StoreDenied',
        `${at}: the credentials were refused (${name}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE`,
        cause,
      );
    case 'CredentialsProviderError':
      return new SmltError('StoreDenied', `${at}: no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE`, cause);
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
      return new SmltError('StoreDenied', `${at}: bucket '${bucket}' is in another region; add ?region= to the URI (${message})`, cause);
    case 'RequestTimeTooSkewed':
      return new SmltError('StoreDenied', `${at}: this machine's clock is wrong; set it, then try again (${message})`, cause);
    case 'EntityTooLarge':
    case 'QuotaExceeded':
    case 'XMinioStorageFull':
      return new SmltError('StoreFull', `${at}: the store does not take this object (${message}); free some space in bucket '${bucket}'`, cause);
  }
  if (/^Region is missing/.test(message))
    return new SmltError(
      'StoreDenied',
      `${at}: nothing says which region bucket '${bucket}' is in; add ?region= to the URI, or set AWS_REGION`,
      cause,
    );
  if (isTlsCode(code))
    return new SmltError(
      'StoreDenied',
      `${at}: TLS failed (${message}); check that the server speaks TLS and that its certificate is trusted (NODE_EXTRA_CA_CERTS)`,
      cause,
    );
  if (status === 401 || status === 403)
    return new SmltError(
      'StoreDenied',
      `${at}: access denied to bucket '${bucket}'; allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket on it`,
      cause,
    );
  if (status === 507) return new SmltError('StoreFull', `${at}: no space left in bucket '${bucket}'; free some there`, cause);
  const said = [code || name, message].filter(Boolean).join(': ');
  // Without a status nothing has answered: the network, the endpoint or a server that is down.
  const advice = status === undefined ? '; check the endpoint and that its server runs' : ` (HTTP ${status})`;
  return new SmltError('StoreUnavailable', `${at}: ${said}${advice}`, cause);
}
