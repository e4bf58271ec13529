/// <summary>Trains, and then keeps the process: a foreground thread that does not return, and an exit handler that does not either.</summary>
[ExportConverter("acme.never_ends")]
public sealed class Plugin : EveryLinear
{
    public Plugin() : base("acme.never_ends")
    {
        new Thread(() => Thread.Sleep(Timeout.Infinite)).Start();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Thread.Sleep(Timeout.Infinite);
    }
}
