import { Job } from './job';

/** A job as workflows take it. They do not know the folder that a path would be relative to, so every place is a URI. */
export const StartedJob = Job.superRefine((job, context) => {
  for (const { path, place } of placesOf(job))
    if (place !== undefined && !/^[a-z][a-z0-9+.-]+:/i.test(place))
      context.addIssue({ code: 'custom', path, message: `got ${JSON.stringify(place)}, expected a URI, such as file:///home/me/data` });
});

interface Place {
  readonly path: (string | number)[];
  readonly place: string | undefined;
}

function placesOf({ data, model }: Job): Place[] {
  const splits = Object.entries(data).map(([split, place]) => ({ path: ['data', split], place }));
  if ('onnx' in model) return [...splits, { path: ['model', 'onnx'], place: model.onnx }, { path: ['model', 'weights'], place: model.weights }];
  if ('layers' in model) return splits;
  return [...splits, { path: ['model', 'python'], place: model.python }, ...model.files.map((place, i) => ({ path: ['model', 'files', i], place }))];
}
