/** An answer of the Lambda API that is not a success: what the SDK turns into an exception named `type`. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
    readonly extra: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

export const notFound = (message: string) => new ApiError(404, 'ResourceNotFoundException', message, { Type: 'User' });
export const conflict = (message: string) => new ApiError(409, 'ResourceConflictException', message, { Type: 'User' });
export const invalidParameter = (message: string) => new ApiError(400, 'InvalidParameterValueException', message, { Type: 'User' });
export const invalidContent = (message: string) => new ApiError(400, 'InvalidRequestContentException', message, { Type: 'User' });
export const validation = (message: string) => new ApiError(400, 'ValidationException', message);
export const tooLarge = (limitBytes: number, operation: string) =>
  new ApiError(
    413,
    operation === 'InvokeFunction' ? 'RequestTooLargeException' : 'RequestEntityTooLargeException',
    `Request must be smaller than ${limitBytes} bytes for the ${operation} operation`,
    { Type: 'User' },
  );
export const throttled = (reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' | 'ConcurrentInvocationLimitExceeded') =>
  new ApiError(429, 'TooManyRequestsException', 'Rate Exceeded.', { Type: 'User', Reason: reason });
