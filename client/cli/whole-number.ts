import { InvalidArgumentError } from 'commander';

/** Parses a whole number of at least `least`. */
export const whole =
  (least: number, expected: string, most = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most) throw new InvalidArgumentError(`expected ${expected}`);
    return value;
  };
