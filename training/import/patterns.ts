import { SmltError } from '../../contracts/errors';

/** What a job says of a model's parameters. A pattern is a name, where `*` stands for any characters and `?` for one. */
export interface ParameterChoice {
  /** Only these train; left out: all. */
  readonly train?: readonly string[] | undefined;
  /** These do not. */
  readonly freeze?: readonly string[] | undefined;
}

/**
 * A test by name for `choice`: does this parameter, or running statistic, train?
 * @throws {SmltError} `InvalidSpec` for a pattern that matches none of `names`
 */
export function chosen({ train, freeze = [] }: ParameterChoice, names: readonly string[]): (name: string) => boolean {
  const only = train?.map((pattern) => matcher(pattern, 'model.train', names));
  const frozen = freeze.map((pattern) => matcher(pattern, 'model.freeze', names));
  return (name) => (only?.some((matches) => matches(name)) ?? true) && !frozen.some((matches) => matches(name));
}

function matcher(pattern: string, field: string, names: readonly string[]): (name: string) => boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const expression = new RegExp(`^${source}$`, 's');
  if (!names.some((name) => expression.test(name)))
    throw new SmltError(
      'InvalidSpec',
      `${field}: '${pattern}' matches no parameter; expected a pattern for some of ${names.slice(0, 8).join(', ')}${names.length > 8 ? `, ... (${names.length} in all, see \`smlt model check\`)` : ''}`,
    );
  return (name) => expression.test(name);
}
