import type { Result, Told } from "./conversation.ts";

/** How a phone shows a page, in CSS pixels. */
export type Screen = {
  readonly width: number;
  readonly height: number;
  readonly isDark?: boolean;
  /** Off: as the page is where no script runs. */
  readonly hasScripts?: boolean;
};

export const PHONE: Screen = { width: 390, height: 844 };

/** A page that a test looks at and touches. */
export class Page {
  /** What the console said, what was thrown, and what the policy of the page blocked. */
  readonly complaints: string[] = [];
  /** The URLs that were asked for, in order. */
  readonly requests: string[] = [];
  /** A command of the DevTools protocol. */
  readonly send: (method: string, params?: object) => Promise<Result>;

  constructor(send: Page["send"]) {
    this.send = send;
  }

  take({ method, params }: Told): void {
    if (method === "Network.requestWillBeSent") {
      this.requests.push((params["request"] as { readonly url: string }).url);
    } else if (COMPLAINTS.has(method)) this.complaints.push(JSON.stringify(params));
  }

  /** Until it is loaded. */
  async open(url: string): Promise<void> {
    // Of two addresses that differ in the fragment only the second would not load.
    await this.send("Page.navigate", { url: "about:blank" });
    const { errorText } = await this.send("Page.navigate", { url });
    if (errorText !== undefined) throw new Error(`${url}: ${JSON.stringify(errorText)}`);
    await this.until("document.readyState === 'complete'");
  }

  /** The value of an expression in the page, which may be a promise; it has to be JSON. */
  async value<Value>(expression: string): Promise<Value> {
    const options = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", options);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { readonly value: Value }).value;
  }

  /** Waits until an expression is true. @throws Error with what the page shows, after 20 s. */
  async until(expression: string): Promise<void> {
    const last = performance.now() + 20_000;
    while (!(await this.value<boolean>(`Boolean(${expression})`))) {
      if (performance.now() < last) continue;
      throw new Error(
        `never ${expression}:\n${await this.value<string>("document.body.innerText")}`,
      );
    }
  }

  /** With a finger, in the middle of what the selector finds, wherever it has to be scrolled to. */
  async tap(selector: string): Promise<void> {
    const [x, y] = await this.value<readonly [number, number]>(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      found.scrollIntoView({ block: "center", behavior: "instant" });
      const { x, y, width, height } = found.getBoundingClientRect();
      return [x + width / 2, y + height / 2];
    })()`);
    await this.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [{ x, y }] });
    await this.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  }

  /** Taps a field, and types this in place of what stands there. */
  async type(selector: string, text: string): Promise<void> {
    await this.tap(selector);
    await this.until(`document.activeElement.matches(${JSON.stringify(selector)})`);
    await this.value("document.activeElement.select()");
    await this.send("Input.insertText", { text });
  }

  /** A key that submits. */
  async press(key: "Enter"): Promise<void> {
    const pressed = { key, code: key, text: "\r", windowsVirtualKeyCode: 13 };
    for (const type of ["keyDown", "keyUp"]) {
      await this.send("Input.dispatchKeyEvent", { type, ...pressed });
    }
  }

  /** How the page is shown from now on. */
  async show({ width, height, ...screen }: Screen): Promise<void> {
    const { isDark = false, hasScripts = true } = screen;
    // A window grows with what does not fit into it; the screen does not.
    const size = { width, height, screenWidth: width, screenHeight: height };
    const metrics = { ...size, deviceScaleFactor: 2, mobile: true };
    await this.send("Emulation.setDeviceMetricsOverride", metrics);
    await this.send("Emulation.setTouchEmulationEnabled", { enabled: true });
    const scheme = { name: "prefers-color-scheme", value: isDark ? "dark" : "light" };
    await this.send("Emulation.setEmulatedMedia", { features: [scheme] });
    await this.send("Emulation.setScriptExecutionDisabled", { value: !hasScripts });
  }
}

const COMPLAINTS: ReadonlySet<string> = new Set([
  "Log.entryAdded",
  "Runtime.exceptionThrown",
  "Runtime.consoleAPICalled",
]);
