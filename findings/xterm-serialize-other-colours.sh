#!/bin/sh
# A terminal's screen that is kept by xterm.js' serialize addon and written again has other colours.
#
# @xterm/addon-serialize 0.14.0 with @xterm/headless 6.0.0, Node 20. The colour that the next letter would have is put before
# the switch to the alternate screen, as if it were of the normal one, and what stands there without a colour gets it: a plain
# text before a red word, as an editor has it, comes back red. Of lines that are only a background (a program that paints
# its screen blue and has written one line) the ones below the last letter are gone. On the normal screen the first is right.
#
# Guess: what is written again looks as what was kept; it is what the addon is for.
# Seen:
#   normal screen: "plain " default, "red" 1; again "plain " default, "red" 1
#   alternate screen: "plain " default, "red" 1; again "plain red" 1
#   painted: 4 lines blue; again 1 line blue
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts @xterm/headless@6.0.0 @xterm/addon-serialize@0.14.0
cat >show.mjs <<'JS'
import addon from '@xterm/addon-serialize';
import headless from '@xterm/headless';

async function screen(text) {
	const terminal = new headless.Terminal({cols: 10, rows: 4, allowProposedApi: true});
	await new Promise((resolve) => terminal.write(text, resolve));
	return terminal;
}

async function again(terminal) {
	const serialize = new addon.SerializeAddon();
	terminal.loadAddon(serialize);
	return screen(serialize.serialize());
}

/** The pieces of the first line, each with its colour. */
function pieces(terminal) {
	const told = [];
	for (let column = 0; column < 9; column++) {
		const cell = terminal.buffer.active.getLine(0).getCell(column);
		const colour = cell.isFgDefault() ? 'default' : `${cell.getFgColor()}`;
		if (told.at(-1)?.colour === colour) told.at(-1).text += cell.getChars();
		else told.push({text: cell.getChars(), colour});
	}
	return told.map(({text, colour}) => `"${text}" ${colour}`).join(', ');
}

function blue(terminal) {
	const lines = [0, 1, 2, 3].filter((row) => terminal.buffer.active.getLine(row).getCell(9).getBgColor() === 4).length;
	return `${lines} ${lines === 1 ? 'line' : 'lines'} blue`;
}

const text = 'plain \x1b[31mred';
for (const [name, written] of [['normal', text], ['alternate', `\x1b[?1049h\x1b[H${text}`]]) {
	const kept = await screen(written);
	console.log(`${name} screen: ${pieces(kept)}; again ${pieces(await again(kept))}`);
}
const painted = await screen('\x1b[44m\x1b[2Jtitle');
console.log(`painted: ${blue(painted)}; again ${blue(await again(painted))}`);
JS
node show.mjs >seen
cat seen
cat >expected <<'TEXT'
normal screen: "plain " default, "red" 1; again "plain " default, "red" 1
alternate screen: "plain " default, "red" 1; again "plain red" 1
painted: 4 lines blue; again 1 line blue
TEXT
diff expected seen
