// The picture of the ring: a stripe per virtual node (as many as there is room for), people where their names fall, and
// messages on their way between them.

const STRIPES = 540;
const FLIGHT_MS = 700;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Colours that differ for as many nodes as there are; the first three stay apart for colour-blind eyes. */
export const colourOf = ({ index }) => ["#397bd6", "#d9802b", "#2f9e6e"][index] ?? `hsl(${(index * 137.5 + 250) % 360} 55% 55%)`;

/** How far apart on the circle, from 0 to 0.5. */
const nearness = (a, b) => Math.min(Math.abs(a.place - b.place), 1 - Math.abs(a.place - b.place));

/** A figure on a canvas: `show` draws, `fly` sends a spot from one person to another. */
export function figureOn(canvas) {
  let ring, people = [], flights = [], frame = 0;
  const ratio = Math.max(2, globalThis.devicePixelRatio || 1);
  const size = 300;
  canvas.width = canvas.height = size * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const spot = (place, radius) => {
    const angle = (place - 0.25) * 2 * Math.PI;
    return [size / 2 + radius * Math.cos(angle), size / 2 + radius * Math.sin(angle)];
  };

  function draw(now) {
    frame = 0;
    pen.clearRect(0, 0, size, size);
    if (!ring) return;
    stripes();
    flights = flights.filter(({ begun }) => now - begun < FLIGHT_MS);
    for (const flight of flights) fly(flight, (now - flight.begun) / FLIGHT_MS);
    people.forEach((one, i) => person(one, i > 0 && nearness(one, people[0]) < 0.09));
    if (flights.length > 0) again();
  }

  function stripes() {
    pen.lineWidth = 20;
    for (let i = 0; i < STRIPES; i++) {
      const from = (i / STRIPES - 0.25) * 2 * Math.PI;
      pen.strokeStyle = colourOf(ring.holder((i + 0.5) / STRIPES) ?? { index: 99 });
      pen.beginPath();
      pen.arc(size / 2, size / 2, 126, from, from + (2 * Math.PI) / STRIPES + 0.003);
      pen.stroke();
    }
  }

  function person({ name, place, node }, crowded) {
    const [x, y] = spot(place, 126);
    const ink = getComputedStyle(canvas).color;
    circle(x, y, 11, ink);
    circle(x, y, 8.5, node ? colourOf(node) : ink);
    const [lx, ly] = spot(place, crowded ? 78 : 102);
    pen.font = "600 14px system-ui, sans-serif";
    pen.fillStyle = ink;
    // The label runs towards the middle, so that it stays inside whatever the place.
    const side = (size / 2 - lx) / (size / 2);
    pen.textAlign = side > 0.25 ? "left" : side < -0.25 ? "right" : "center";
    pen.textBaseline = "middle";
    pen.fillText(name.length > 14 ? `${name.slice(0, 13)}…` : name, lx, ly);
  }

  function fly({ from, to, colour }, part) {
    const [[x1, y1], [x2, y2]] = [spot(from, 126), spot(to, 126)];
    const middle = size / 2;
    const eased = part * part * (3 - 2 * part);
    // A curve through the middle: nobody is asked on the way.
    const mix = (a, b) => (1 - eased) ** 2 * a + 2 * eased * (1 - eased) * middle + eased ** 2 * b;
    circle(mix(x1, x2), mix(y1, y2), 6, colour);
  }

  function circle(x, y, radius, colour) {
    pen.fillStyle = colour;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }

  const again = () => (frame ||= requestAnimationFrame(draw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  return {
    show(newRing, newPeople) {
      [ring, people] = [newRing, newPeople];
      again();
    },
    fly(from, to) {
      if (!ring || calm.matches || flights.length > 20) return;
      const { node, place } = ring.home(from);
      flights.push({ from: place, to: ring.home(to).place, colour: node ? colourOf(node) : "gray", begun: performance.now() });
      again();
    },
  };
}
