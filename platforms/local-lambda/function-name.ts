import { validation } from './api-error';

/** The account and region that every ARN of the embedded server carries; nothing is looked up by them. */
const ACCOUNT_ID = '000000000000';
export const DEFAULT_REGION = 'us-east-1';

export interface FunctionTarget {
  readonly name: string;
  readonly qualifier?: string;
}

/** Reads what the API takes as a function: a name, `name:qualifier`, `account:function:name`, or a whole ARN. */
export function parseFunctionName(text: string, qualifier: string | undefined): FunctionTarget {
  const match = /^(?:(?:arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:)?\d{12}:function:)?([A-Za-z0-9_-]{1,64})(?::(\$LATEST|[A-Za-z0-9_-]{1,128}))?$/.exec(
    text,
  );
  if (!match) {
    throw validation(
      `1 validation error detected: Value '${text}' at 'functionName' failed to satisfy constraint: ` +
        'Member must be a name of 1 to 64 letters, digits, - and _, or an ARN',
    );
  }
  const [, name = '', inName] = match;
  if (inName !== undefined && qualifier !== undefined && inName !== qualifier) {
    throw validation(`The derived qualifier from the function name does not match the specified qualifier: ${inName} and ${qualifier}`);
  }
  const chosen = qualifier ?? inName;
  return chosen === undefined ? { name } : { name, qualifier: chosen };
}

export function functionArn(name: string, qualifier?: string): string {
  const base = `arn:aws:lambda:${DEFAULT_REGION}:${ACCOUNT_ID}:function:${name}`;
  return qualifier === undefined ? base : `${base}:${qualifier}`;
}
