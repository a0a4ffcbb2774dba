import { SmltError } from '../../contracts/errors';

/** What the SDK throws, as far as we look at it. */
interface SdkError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly Reason?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export const errorName = (error: unknown): string => (error as SdkError).name ?? '';

/** Not run, and worth another try: throttled, a fault of the service, or nobody there to connect to. */
const UNAVAILABLE = new Set([
  'TooManyRequestsException',
  'ThrottlingException',
  'ServiceException',
  'EC2ThrottledException',
  'EC2UnexpectedException',
  'ENILimitReachedException',
  'ResourceNotReadyException',
  'ResourceConflictException',
  'TimeoutError',
]);
const NOT_CONNECTED = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EMFILE/;
const BROKEN = /ECONNRESET|EPIPE|socket hang up|aborted/;
/** A connection kept open that the other end had closed meanwhile breaks at once, before anything has run (the SDK's own work included). */
const STALE_MS = 100;

/** True when the request was on its way and the connection broke: the function may have run, and may be running. */
export function wasLost(error: unknown, elapsedMs: number): boolean {
  return (error as SdkError).$metadata?.httpStatusCode === undefined && BROKEN.test(wordsOf(error)) && elapsedMs > STALE_MS;
}

/** The SDK may wrap an error and drop its code, so the message counts as well. */
const wordsOf = (error: unknown): string => `${(error as SdkError).code ?? ''} ${(error as SdkError).message ?? ''}`;

/** Turns what the SDK threw into one of smlt's errors, with the platform's own words. */
export function refusedOrUnavailable(doing: string, error: unknown): SmltError {
  if (error instanceof SmltError) return error;
  const { name = 'Error', code = '', message = String(error), Reason, $metadata } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  const unreached = status === undefined && (NOT_CONNECTED.test(wordsOf(error)) || BROKEN.test(wordsOf(error)));
  const unavailable = unreached || UNAVAILABLE.has(name) || status === 429 || (status ?? 0) >= 500;
  const words = [name, code, status, Reason].filter((part) => part !== undefined && part !== '').join(' ');
  return new SmltError(unavailable ? 'PlatformUnavailable' : 'PlatformRefused', `${doing}: ${message || 'no connection'} (${words})`, {
    cause: error,
  });
}
