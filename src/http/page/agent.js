// What this browser is, in words that tell it from another one in a list.

/** From what is most particular to what others also claim to be. */
const BROWSERS = [
  [/\bEdgA?\//, 'Edge'], [/\bOPR\//, 'Opera'], [/\bVivaldi\//, 'Vivaldi'], [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'], [/\b(?:Headless)?Chrom(?:e|ium)\/|\bCriOS\//, 'Chrome'], [/\bEpiphany\//, 'GNOME Web'],
  [/\bSafari\//, 'Safari'],
];
const SYSTEMS = [
  [/\bAndroid\b/, 'Android'], [/\biPhone\b/, 'iPhone'], [/\biPad\b/, 'iPad'], [/\bWindows\b/, 'Windows'],
  [/\bCrOS\b/, 'ChromeOS'], [/\bMac OS X\b/, 'macOS'], [/\bFreeBSD\b/, 'FreeBSD'], [/\bLinux\b/, 'Linux'],
];

const named = (names, said) => names.find(([pattern]) => pattern.test(said))?.[1];

/** “Firefox on Linux”, by what a browser says of itself. */
export function agent(said = navigator.userAgent) {
  const browser = named(BROWSERS, said) ?? 'a browser', system = named(SYSTEMS, said);
  return system ? `${browser} on ${system}` : browser;
}
