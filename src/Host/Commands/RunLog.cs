using System.Globalization;

namespace Titan.Host.Commands;

/// <summary>
/// The log of a run on standard output, in upstream's form; on a terminal with a line of progress below it. Of several ranks those of <c>LOG_RANK</c> write theirs, with
/// their number where they are more than one. What a run fails with is not part of it: that is always said, with its rank.
/// </summary>
/// <param name="ranks">Which ranks are shown.</param>
internal sealed class RunLog(LogRanks ranks)
{
    private readonly object gate = new();
    private string progress = "";

    /// <summary>Whether a person is watching.</summary>
    public static bool IsTerminal => !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "dumb");

    public bool Colour { get; set; }

    public void Info(string text) => Write("INFO", text);

    public void Warn(string text) => Write("WARNING", text);

    /// <summary>Shows how far the run is and how long it will take.</summary>
    public void Progress(long step, long last, TimeSpan left)
    {
        if (!IsTerminal || !ranks.IsShown) return;
        const int width = 30;
        var filled = (int)(width * step / last);
        lock (gate)
        {
            progress = $"[{new string('=', filled)}{new string(' ', width - filled)}] {step}/{last}, {left:hh\\:mm\\:ss} left";
            Console.Write("\r\u001b[K" + progress);
        }
    }

    public void ClearProgress()
    {
        lock (gate)
        {
            if (progress.Length > 0) Console.Write("\r\u001b[K");
            progress = "";
        }
    }

    private void Write(string level, string text)
    {
        if (!ranks.IsShown) return;
        lock (gate)
        {
            if (progress.Length > 0) Console.Write("\r\u001b[K");
            var line = $"[titan] {DateTime.Now.ToString("yyyy-MM-dd HH:mm:ss,fff", CultureInfo.InvariantCulture)} - root - {level} - {text}";
            // Tables have several lines, and those of other ranks come in between.
            Console.WriteLine(ranks.Prefix + line.Replace("\n", "\n" + ranks.Prefix, StringComparison.Ordinal));
            if (progress.Length > 0) Console.Write(progress);
        }
    }
}
