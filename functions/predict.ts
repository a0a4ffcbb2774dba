import { z } from 'zod';
import { SmltError } from '../contracts/errors';
import type { PredictAnswer, PredictRequest } from '../contracts/functions';
import { Loss, settingsOf } from '../contracts/loss';
import { names } from '../contracts/names';
import type { ModelSession } from '../training/runtime';
import { jsonOf } from './bytes';
import { Lru } from './lru';
import type { World } from './world';

/** What the card says that a prediction needs. */
const Card = z.object({ loss: Loss, featureShape: z.array(z.int()), programDigest: z.string() });

interface Loaded {
  readonly session: ModelSession;
  readonly card: z.output<typeof Card>;
}
const models = new Lru<Loaded>(2);

/** Answers for samples with the model that the function's environment names. */
export async function predictWith(world: World, environment: NodeJS.ProcessEnv, { inputs }: PredictRequest): Promise<PredictAnswer> {
  const variable = (name: string): string => {
    const value = environment[name];
    if (!value) throw new SmltError('NotDeployed', `this function has no model: expected its environment to set ${name}`);
    return value;
  };
  const [storeUri, name, version] = [variable('SMLT_STORE_URI'), variable('SMLT_MODEL_NAME'), variable('SMLT_MODEL_VERSION')];
  const { session, card } = await models.remember(`${storeUri} ${names.model(name, version, 'model-card.json')}`, () =>
    load(world, storeUri, name, version),
  );

  const length = card.featureShape.reduce((product, size) => product * size, 1);
  const features = new Float32Array(inputs.length * length);
  for (const [i, input] of inputs.entries()) {
    if (input.length !== length)
      throw new SmltError('BadData', `input ${i}: expected ${length} numbers (shape [${card.featureShape.join(', ')}]), got ${input.length}`);
    features.set(input, i * length);
  }
  const raw = await session.run(features, inputs.length);
  const width = raw.length / inputs.length;
  const outputs = inputs.map((_, i) => Array.from(raw.subarray(i * width, (i + 1) * width)));
  return { outputs, ...(namesClasses(card.loss) && width > 1 ? { classes: outputs.map(largest) } : {}), version };
}

const namesClasses = (loss: Loss) => ['softmax-cross-entropy', 'hinge'].includes(settingsOf(loss).kind);

/** The first largest, as evaluation counts it. */
const largest = (outputs: readonly number[]): number => outputs.reduce((best, value, i) => (value > outputs[best]! ? i : best), 0);

async function load(world: World, storeUri: string, name: string, version: string): Promise<Loaded> {
  const store = await world.store(storeUri);
  const cardName = names.model(name, version, 'model-card.json');
  const card = Card.safeParse(jsonOf(await store.get(cardName)));
  if (!card.success) throw new SmltError('VersionSkew', `${cardName} was written by another version of smlt: ${card.error.message}`);
  return { session: await world.compute.openModel(store, card.data, (file) => names.model(name, version, file)), card: card.data };
}
