// Text from a QR code: by the camera, or in a picture.
//
// Decides: how large a picture is given to the verifier's reader, and how often the camera is looked at. The picture never leaves this page. Trusts: the browser for decoding images.
// Out of scope: finding and reading a code (the module).

import { RingwallError, readCode } from "../ringwall.mjs";
import { cause } from "../fault.mjs";

const SIDE = 1_280; // pixels of a picture's longer side that the reader is given
const LOOK_MS = 150;

// One byte for each pixel, as bright as the eye sees it.
function grey(source, width, height) {
    const scale = Math.min(1, SIDE / Math.max(width, height));
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const canvas = new OffscreenCanvas(w, h);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, w, h);
    context.drawImage(source, 0, 0, w, h);
    const { data } = context.getImageData(0, 0, w, h);
    const pixels = new Uint8Array(w * h);
    for (let at = 0; at < pixels.length; at++) pixels[at] = (data[4 * at] * 77 + data[4 * at + 1] * 150 + data[4 * at + 2] * 29) >> 8;
    return { width: w, height: h, pixels };
}

export async function picture_text(file, module) {
    let picture;
    try {
        picture = await createImageBitmap(file);
    } catch (thrown) {
        throw new RingwallError("RW-C-QR-IMAGE", `The picture cannot be read: ${cause(thrown)}.`, "Take another one.");
    }
    try {
        return await readCode(grey(picture, picture.width, picture.height), { module });
    } finally {
        picture.close();
    }
}

// The text of the first code the camera sees; null when `stop` was pressed.
export async function camera(video, stop, module) {
    let stream;
    try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
    } catch (thrown) {
        throw new RingwallError("RW-C-CAMERA-REFUSED", `The camera is not to be had: ${cause(thrown)}.`, "Allow it for this page, or paste the card, or scan a picture.");
    }
    let stopped = false;
    const end = () => (stopped = true);
    stop.addEventListener("click", end, { once: true });
    try {
        video.srcObject = stream;
        await video.play();
        while (!stopped && stream.active) {
            try {
                if (video.videoWidth > 0) return await readCode(grey(video, video.videoWidth, video.videoHeight), { module });
            } catch (thrown) {
                if (thrown.code !== "RW-C-QR-NONE") throw thrown;
            }
            await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
        return null;
    } finally {
        stop.removeEventListener("click", end);
        stream.getTracks().forEach((track) => track.stop());
        video.srcObject = null;
    }
}
