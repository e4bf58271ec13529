using System.Diagnostics;
using Titan.Training.Files;

namespace Titan.Training.Tests.Files;

public sealed class RegularFileTests : IDisposable
{
    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_regular_file_is_read_whole_also_through_a_link_where_links_are_allowed()
    {
        folder.Write("a", "text");
        File.CreateSymbolicLink(folder.At("link"), "a");
        Assert.Equal("text"u8.ToArray(), RegularFile.ReadAllBytes(folder.At("a"), 4));
        Assert.Equal("text"u8.ToArray(), RegularFile.ReadAllBytes(folder.At("link"), 4));
        Assert.Equal("it is a link; expected a regular file", Refused(() => RegularFile.ReadAllBytes(folder.At("link"), 4, followLinks: false)));
        folder.Write("empty", "");
        Assert.Empty(RegularFile.ReadAllBytes(folder.At("empty"), 0));
    }

    [Fact]
    public void A_larger_file_is_refused_before_it_is_read()
    {
        using (var file = File.Create(folder.At("hole"))) file.SetLength(1L << 40);
        Assert.Equal("it has 1,099,511,627,776 bytes; expected at most 1,000", Refused(() => RegularFile.ReadAllBytes(folder.At("hole"), 1000)));
        Assert.Contains("expected at most 1,000", Refused(() => RegularFile.OpenRead(folder.At("hole"), 1000).Dispose()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_pipe_a_device_a_socket_and_a_circle_of_links_are_refused_without_waiting()
    {
        using (var make = Process.Start("mkfifo", folder.At("pipe"))) make.WaitForExit();
        File.CreateSymbolicLink(folder.At("to-pipe"), "pipe");
        File.CreateSymbolicLink(folder.At("circle"), "circle");
        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified);
        socket.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(folder.At("socket")));
        foreach (var (path, what) in new[] { (folder.At("pipe"), "a named pipe"), (folder.At("to-pipe"), "a named pipe"), ("/dev/zero", "a device"), (folder.At("socket"), "a socket") })
        {
            Assert.Equal($"it is {what}; expected a regular file", Refused(() => RegularFile.OpenRead(path).Dispose()));
            Assert.Equal($"it is {what}; expected a regular file", Refused(() => RegularFile.ThrowIfOther(path)));
        }

        _ = Refused(() => RegularFile.OpenRead(folder.At("circle")).Dispose());
        _ = Refused(() => RegularFile.ThrowIfOther(folder.At("circle"), followLinks: false));
    }

    [Fact]
    public void A_missing_file_may_be_written_and_a_name_with_a_NUL_is_none()
    {
        folder.Write("a", "text");
        RegularFile.ThrowIfOther(folder.At("missing"), followLinks: false);
        Assert.Throws<FileNotFoundException>(() => RegularFile.OpenRead(folder.At("missing")).Dispose());
        Assert.Equal("its name holds a NUL character", Refused(() => RegularFile.OpenRead(folder.At("a\0b")).Dispose()));
        Assert.Throws<UnauthorizedAccessException>(() => RegularFile.OpenRead(folder.Path).Dispose());
    }

    private static string Refused(Action act) => Assert.ThrowsAny<IOException>(act).Message;
}
