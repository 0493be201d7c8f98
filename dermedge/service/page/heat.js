// The heat map over a picture, with the colours and opacities of the command line's overlays.

// Matplotlib's inferno (CC0) at 17 points.
const INFERNO = [
  [0, 0, 4], [11, 7, 36], [33, 12, 74], [61, 9, 101], [87, 16, 110], [113, 25, 110], [138, 34, 106], [163, 44, 97],
  [188, 55, 84], [210, 70, 68], [228, 90, 49], [241, 115, 29], [249, 142, 9], [252, 172, 17], [249, 203, 53],
  [242, 234, 105], [252, 255, 164],
];
const LONGEST_SIDE = 480;

const colours = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (INFERNO.length - 1);
  const before = Math.min(Math.floor(place), INFERNO.length - 2);
  return INFERNO[before].map((start, channel) =>
    Math.round(start + (place - before) * (INFERNO[before + 1][channel] - start)));
});
// Where nothing speaks for the class the picture stays as it is.
const opacities = colours.map((_, level) => Math.round(255 * 0.6 * Math.sqrt(level / 255)));

// Which two cells a pixel lies between, and how near the second: bilinear between the middles of the cells.
function between(pixels, cells) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const place = Math.min(Math.max(((pixel + 0.5) * cells) / pixels - 0.5, 0), cells - 1);
    const first = Math.min(Math.floor(place), Math.max(cells - 2, 0));
    return [first, Math.min(first + 1, cells - 1), place - first];
  });
}

// Draws `grid`, rows of numbers in [0, 1], at the shape of a picture of `width` times `height` pixels.
export function drawHeat(canvas, grid, [width, height]) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const columns = between(canvas.width, grid[0].length);
  const rows = between(canvas.height, grid.length);
  const drawing = canvas.getContext('2d');
  const image = drawing.createImageData(canvas.width, canvas.height);
  let at = 0;
  for (const [top, bottom, down] of rows) {
    for (const [left, right, along] of columns) {
      const upper = grid[top][left] + along * (grid[top][right] - grid[top][left]);
      const lower = grid[bottom][left] + along * (grid[bottom][right] - grid[bottom][left]);
      const level = Math.round(255 * Math.min(1, Math.max(0, upper + down * (lower - upper))));
      image.data.set(colours[level], at);
      image.data[at + 3] = opacities[level];
      at += 4;
    }
  }
  drawing.putImageData(image, 0, 0);
}

export function drawLegend(canvas) {
  canvas.width = 256;
  canvas.height = 1;
  const drawing = canvas.getContext('2d');
  const image = drawing.createImageData(256, 1);
  colours.forEach((colour, level) => image.data.set([...colour, 255], 4 * level));
  drawing.putImageData(image, 0, 0);
}
