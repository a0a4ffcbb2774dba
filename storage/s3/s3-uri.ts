import { SmltError } from '../../contracts/errors';
import { checkPrefix } from '../prefix';

/** `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1`, the query being optional. */
export interface S3Location {
  readonly bucket: string;
  /** Empty, or segments that end with '/'. */
  readonly prefix: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
}

/** @throws {SmltError} `InvalidSpec` */
export function parseS3Uri(uri: string): S3Location {
  const refuse = (what: string, cause?: unknown) =>
    new SmltError(
      'InvalidSpec',
      `store ${JSON.stringify(uri)}: ${what}; expected s3://BUCKET/PREFIX?endpoint=URL&region=REGION, the query optional`,
      {
        cause,
      },
    );
  let url: URL;
  try {
    url = new URL(uri);
  } catch (error) {
    throw refuse('not a URI', error);
  }
  // A URI is written into run records and workflow histories, where a secret would stay readable for good.
  if (url.username !== '' || url.password !== '')
    throw new SmltError('InvalidSpec', 'store s3://: credentials do not belong in the URI; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead');
  const unknown = [...url.searchParams.keys()].find((key) => key !== 'endpoint' && key !== 'region');
  if (unknown !== undefined) throw refuse(`unknown option ${JSON.stringify(unknown)}`);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(url.hostname)) throw refuse('a bucket name has 3 to 63 lower-case letters, digits, dots and dashes');
  const endpoint = url.searchParams.get('endpoint') ?? undefined;
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint)) throw refuse(`endpoint ${JSON.stringify(endpoint)} is no http or https URL`);
  const path = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '');
  return { bucket: url.hostname, prefix: path === '' ? '' : `${checkPrefix(path)}/`, endpoint, region: url.searchParams.get('region') ?? undefined };
}
