import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { ChargedRequests } from '../charged-requests';
import type { S3Location } from './s3-uri';

/** The client's own types of a request say nothing of what every request has. */
interface SentRequest {
  readonly method: string;
  readonly query?: Readonly<Record<string, unknown>>;
}

export type S3Settings = Pick<S3ClientConfig, 'credentials' | 'maxAttempts'>;

/** The server's address, when it is not AWS: from the URI, or from the variables that every AWS tool reads. */
export const elsewhereOf = ({ endpoint }: S3Location): string | undefined =>
  endpoint ?? process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL'];

/** AWS's own client: it finds credentials and region as every AWS tool does. */
export function openS3Client(location: S3Location, settings: S3Settings = {}): S3Client {
  const { endpoint, region } = location;
  const elsewhere = elsewhereOf(location);
  return new S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    // Servers at an endpoint have no host name per bucket, and no regions; AWS itself needs the right one.
    ...(elsewhere === undefined ? {} : { forcePathStyle: true }),
    ...(region !== undefined ? { region } : elsewhere === undefined || process.env['AWS_REGION'] !== undefined ? {} : { region: 'us-east-1' }),
    // The frame carries a digest of its own; a second checksum over every byte would only cost time.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({
      connectionTimeout: 5_000,
      socketTimeout: 60_000,
      httpAgent: { keepAlive: true, maxSockets: 256 },
      httpsAgent: { keepAlive: true, maxSockets: 256 },
    }),
    ...settings,
  });
}

/** Counts what a client is charged for. */
export function countRequests(client: S3Client, charged: ChargedRequests): void {
  // The last step of the stack is inside the one that tries again.
  client.middlewareStack.add(
    (next) => (args) => {
      const { method, query } = args.request as SentRequest;
      charged.count(method, query?.['list-type'] !== undefined);
      return next(args);
    },
    { step: 'deserialize', name: 'countChargedRequests' },
  );
}
