namespace Titan.Kernels.Tests.Cuda;

/// <summary>A copy of native/ with some places changed.</summary>
internal sealed class AlteredNative : IDisposable
{
    public AlteredNative(string file, string from, string to) : this((file, from, to))
    {
    }

    public AlteredNative(params (string File, string From, string To)[] places)
    {
        var origin = Path.Combine(AppContext.BaseDirectory, "native");
        Folder = Directory.CreateTempSubdirectory("titan-native-").FullName;
        foreach (var source in Directory.EnumerateFiles(origin, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(Folder, Path.GetRelativePath(origin, source));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(source, target);
        }

        foreach (var (file, from, to) in places)
        {
            var path = Path.Combine(Folder, file);
            var text = File.ReadAllText(path);
            Assert.Contains(from, text);
            File.WriteAllText(path, text.Replace(from, to));
        }
    }

    /// <summary>With a count of the elements that kernels read from memory in packs, which the function of that name tells and sets to zero.</summary>
    public static AlteredNative CountingReads() => new(
        ("access.cuh", "template <int N, typename T> DEVICE Raw<T, N> fetch(const T* p, bool whole, i64 count)\n{\n",
        """
        static i64 loaded;
        extern "C" __attribute__((used)) i64 emulation_loaded() { const i64 all = loaded; loaded = 0; return all; }
        template <int N, typename T> DEVICE Raw<T, N> fetch(const T* p, bool whole, i64 count)
        {
            loaded += whole || count > N ? N : count;

        """),
        ("stage.cuh", "    emulation::block.current->open.push_back", "    loaded += lanes_of<T>();\n    emulation::block.current->open.push_back"));

    public string Folder { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
