// Numbers, sizes and times as people read them.

const grouped = new Intl.NumberFormat("en");
const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Return a whole number with its thousands apart. */
export function count(number) {
  return number === null || number === undefined ? "–" : grouped.format(number);
}

/** Return a count with its noun: `1 file`, `2 files`. */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** Return a size in bytes with its unit. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** Return a share of a whole in percent. */
export function percent(part, whole) {
  if (!whole) return "–";
  const share = (100 * part) / whole;
  return share > 0 && share < 1 ? "< 1 %" : `${Math.round(share)} %`;
}

/** Return a rate of tokens: one decimal below ten. */
export function rate(number) {
  if (number === null || number === undefined) return "–";
  return number > 0 && number < 9.95 ? number.toFixed(1) : count(Math.round(number));
}

/** Return milliseconds as `4 ms`, `1.2 s` or `2 min 5 s`. */
export function milliseconds(number) {
  if (number === null || number === undefined) return "–";
  if (number < 999.5) return `${Math.round(number)} ms`;
  return number < 59950 ? `${(number / 1000).toFixed(1)} s` : seconds(number / 1000);
}

/** Return seconds as `18 s`, `2 min 5 s` or `1 h 4 min`. */
export function seconds(number) {
  if (number === null || number === undefined) return "–";
  const whole = Math.round(number);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** Return the time of day of seconds since the epoch, with the date if it is another day. */
export function moment(epoch) {
  const date = new Date(1000 * epoch);
  const two = (number) => String(number).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time.slice(0, 5)}`;
}

/** Return a loss with three decimals. */
export function loss(number) {
  return number === null || number === undefined ? "–" : number.toFixed(3);
}
