namespace Titan.Kernels.Tests.Cuda;

/// <summary>A copy of native/ with one place changed.</summary>
internal sealed class AlteredNative : IDisposable
{
    public AlteredNative(string file, string from, string to)
    {
        var origin = Path.Combine(AppContext.BaseDirectory, "native");
        Folder = Directory.CreateTempSubdirectory("titan-native-").FullName;
        foreach (var source in Directory.EnumerateFiles(origin, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(Folder, Path.GetRelativePath(origin, source));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(source, target);
        }

        var path = Path.Combine(Folder, file);
        var text = File.ReadAllText(path);
        Assert.Contains(from, text);
        File.WriteAllText(path, text.Replace(from, to));
    }

    public string Folder { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
