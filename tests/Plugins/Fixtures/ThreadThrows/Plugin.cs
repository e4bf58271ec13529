/// <summary>Throws where nobody can catch it.</summary>
[ExportConverter("acme.thread_throws")]
public sealed class Plugin() : EveryLinear("acme.thread_throws")
{
    [System.Runtime.CompilerServices.ModuleInitializer]
    internal static void Initialise()
    {
        if (!BuildTool.IsRunning) new Thread(() => throw new InvalidOperationException("thrown by a thread")).Start();
    }

    // The thread is faster than this.
    protected override void Before(int index) => Thread.Sleep(Timeout.Infinite);
}
