// The curves of a job's losses: training at each step, validation at some.

import uPlot from "/pages/vendor/uplot.js";
import { loss } from "./format.js";
import { colour, html, isDark, onTheme, useEffect, useRef } from "./ui.js";

const HEIGHT = 240;
const POINTS_UP_TO = 60;

/**
 * Chart of losses over steps, with a table of the same points.
 *
 * `metrics`: the answer of `/v1/fine_tuning/jobs/{id}/metrics`; `name`: the job's name, for screen readers.
 */
export function Curve({ metrics, name }) {
  const box = useRef(null);
  const plot = useRef(null);
  const columns = columnsOf(metrics);
  const latest = useRef(columns);
  latest.current = columns;
  useEffect(() => {
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(box.current.clientWidth), latest.current, box.current);
    };
    draw();
    box.current.addEventListener("mouseleave", () => showLast(plot.current));
    const endTheme = onTheme(draw);
    const observer = new ResizeObserver(() => {
      plot.current.setSize({ width: box.current.clientWidth, height: HEIGHT });
    });
    observer.observe(box.current);
    return () => {
      endTheme();
      observer.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => {
    plot.current?.setData(columns);
    showLast(plot.current);
  }, [metrics]);
  return html`
    <figure class="curve">
      <div class="curve-plot" ref=${box} role="img" aria-label=${summary(metrics, name)}></div>
      <details>
        <summary>Points as a table</summary>
        <div class="scroll curve-table" tabindex="0" role="region" aria-label="Points of the curves">
          <table>
            <thead>
              <tr>
                <th scope="col">Step</th>
                <th scope="col" class="number">Training</th>
                <th scope="col" class="number">Validation</th>
              </tr>
            </thead>
            <tbody>
              ${columns[0].map(
                (step, row) => html`
                  <tr key=${step}>
                    <td>${step}</td>
                    <td class="number">${columns[1][row] ?? ""}</td>
                    <td class="number">${columns[2][row] ?? ""}</td>
                  </tr>
                `,
              )}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  `;
}

/** Return the steps with a point, and the losses at each of them; null for none. */
export function columnsOf({ train, validation }) {
  const training = new Map(train);
  const validating = new Map(validation.map(([step, value]) => [step, value]));
  const steps = [...new Set([...training.keys(), ...validating.keys()])].sort((a, b) => a - b);
  return [steps, steps.map((step) => training.get(step) ?? null), steps.map((step) => validating.get(step) ?? null)];
}

/** Show the last losses in the legend, unless the pointer chooses a step. */
function showLast(plot) {
  if (plot.cursor.left >= 0) return;
  plot.setLegend({ idxs: plot.data.map((values) => values.findLastIndex((value) => value !== null)) });
}

function summary({ train, validation }, name) {
  if (!train.length) return `Losses of ${name}: none yet`;
  const [step, last] = train.at(-1);
  const validated = validation.length ? `, validation loss ${loss(validation.at(-1)[1])}` : "";
  const [first, begun] = train[0];
  return `Losses of ${name}: training loss ${loss(begun)} at step ${first}, ${loss(last)} at step ${step}${validated}`;
}

function optionsOf(width) {
  const ink = colour("--muted");
  const grid = { stroke: colour("--line"), width: 1 };
  const font = "12px system-ui, sans-serif";
  const incrs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5];
  const fill = colour(isDark() ? "--paper" : "--raised");
  const axis = { stroke: ink, grid, ticks: { show: false }, font };
  const line = (label, stroke) => ({
    label,
    stroke,
    width: 2,
    spanGaps: true,
    points: { show: (self) => self.data[0].length <= POINTS_UP_TO, size: 6, fill },
    value: (_, value) => loss(value),
  });
  return {
    width,
    height: HEIGHT,
    padding: [8, 18, 0, 0],
    scales: { x: { time: false } },
    axes: [
      { ...axis, size: 30, incrs },
      { ...axis, size: 44 },
    ],
    series: [{ label: "Step" }, line("Training loss", colour("--accent")), line("Validation loss", colour("--second"))],
    cursor: { drag: { x: false, y: false }, points: { size: 8 } },
    legend: { live: true },
    hooks: { ready: [showLast] },
  };
}
