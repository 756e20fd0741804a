/** Which frame is on the screen. */

/**
 * Calls back with the time of every frame that is shown, in milliseconds of the video.
 *
 * With `requestVideoFrameCallback` that time is exact. Elsewhere `currentTime` is asked before every
 * repaint, which may be a frame off while the video plays.
 *
 * @param {HTMLVideoElement} video
 * @param {(ms: number) => void} onframe
 * @returns {() => void} stops it
 */
export function everyFrame(video, onframe) {
  const stop = "requestVideoFrameCallback" in video ? byFrame(video, onframe) : byRepaint(video, onframe);
  // The first frame of a paused video is not always announced.
  const first = () => onframe(video.currentTime * 1000);
  video.addEventListener("loadeddata", first);
  if (video.readyState >= 2) first();
  return () => {
    video.removeEventListener("loadeddata", first);
    stop();
  };
}

function byFrame(video, onframe) {
  let id = 0;
  const shown = (_now, frame) => {
    id = video.requestVideoFrameCallback(shown);
    onframe(frame.mediaTime * 1000);
  };
  id = video.requestVideoFrameCallback(shown);
  return () => video.cancelVideoFrameCallback(id);
}

function byRepaint(video, onframe) {
  let id = 0;
  let last = -1;
  const look = () => {
    if (video.readyState < 2 || video.seeking || video.currentTime === last) return;
    last = video.currentTime;
    onframe(last * 1000);
  };
  const repaint = () => {
    id = requestAnimationFrame(repaint);
    look();
  };
  const events = ["seeked", "timeupdate"];
  for (const name of events) video.addEventListener(name, look);
  id = requestAnimationFrame(repaint);
  return () => {
    cancelAnimationFrame(id);
    for (const name of events) video.removeEventListener(name, look);
  };
}
