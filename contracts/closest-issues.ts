import { z } from 'zod';

type Issue = z.core.$ZodIssue;

/**
 * A union that fails says only that nothing fitted. People meant one of its forms, so what they are told is what that form
 * says: the one whose faults lie deepest, and among equals the one with the fewest.
 */
export function closestIssues(error: z.ZodError): z.ZodError {
  return new z.ZodError(error.issues.flatMap(closest));
}

function closest(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  // A form that does not know the key that was written is not the one that was meant.
  const meant = issue.errors.filter((issues) => !issues.some(({ code, path }) => code === 'unrecognized_keys' && path.length === 0));
  const forms = meant.map((issues) => ({ issues, depth: Math.max(0, ...issues.map(({ path }) => path.length)) }));
  const [best] = forms.sort((a, b) => b.depth - a.depth || a.issues.length - b.issues.length);
  if (!best || best.depth === 0) return [issue];
  return best.issues.flatMap((inner) => closest({ ...inner, path: [...issue.path, ...inner.path] }));
}
