namespace Titan.Training.Tests.Checkpoints;

/// <summary>A disk that is full after so many writes. Syncing counts as one: that is where a real one often says so.</summary>
internal sealed class FailingDisk(int writes)
{
    private int left = writes;

    public FileStream Create(string path) => new FailingFile(path, this);

    private sealed class FailingFile(string path, FailingDisk disk) : FileStream(path, FileMode.CreateNew, FileAccess.Write)
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            Take();
            base.Write(buffer);
        }

        public override void Flush(bool flushToDisk)
        {
            Take();
            base.Flush(flushToDisk);
        }

        private void Take()
        {
            if (disk.left-- <= 0) throw new IOException("No space left on device");
        }
    }
}
