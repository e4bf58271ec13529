using System.Diagnostics;
using System.Text;

namespace Titan.Host.Tests.Signals;

/// <summary>The program in a process of its own, held at a moment.</summary>
internal sealed class HeldRun : IDisposable
{
    private readonly StringBuilder written = new();
    private readonly Process process;
    private readonly IDisposable limit;

    /// <summary>Starts it and waits until it is there.</summary>
    public HeldRun(Hold hold, params string[] args)
    {
        process = TitanProcess.Start(args, environment: new() { [hold.Variable.Name] = hold.Variable.Value });
        limit = TitanProcess.EndInTime(process);
        process.OutputDataReceived += Append;
        process.ErrorDataReceived += Append;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        hold.WaitReached(1, () => process.HasExited);
    }

    public void Signal(string name) => Signals.Signal.Send(process.Id, name);

    /// <summary>Waits until it has written a text.</summary>
    public void WaitFor(string text)
    {
        for (var clock = Stopwatch.StartNew(); !Written().Contains(text, StringComparison.Ordinal); Thread.Sleep(10))
        {
            Assert.False(process.HasExited, $"ended before it wrote '{text}': {Written()}");
            Assert.True(clock.Elapsed < TimeSpan.FromMinutes(2), $"has not written '{text}': {Written()}");
        }
    }

    public (int ExitCode, string Output) End()
    {
        process.WaitForExit();
        return (process.ExitCode, Written());
    }

    public void Dispose()
    {
        limit.Dispose();
        if (!process.HasExited) process.Kill();
        process.Dispose();
    }

    private string Written()
    {
        lock (written) return written.ToString();
    }

    private void Append(object sender, DataReceivedEventArgs e)
    {
        lock (written) written.AppendLine(e.Data);
    }
}
