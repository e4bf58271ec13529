using System.Text;
using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Training.Data;

namespace Titan.Host.Tests.Configuration;

/// <summary>Any text is a job or an error with words.</summary>
public sealed class TomlSourceTests
{
    private const int Cases = 4000;

    [Theory]
    [InlineData("x = ", "[", "]", 65)]
    [InlineData("x = ", "[", "]", 20_000)]
    [InlineData("x = ", "{ a = ", "}", 65)]
    [InlineData("x = ", "{ a = ", "}", 20_000)]
    [InlineData("x", ".a", "", 20_000)]
    [InlineData("[x", ".a", "", 20_000)]
    public void Deep_nesting_is_refused_with_words(string start, string open, string close, int depth)
    {
        // In a process of its own: a stack that overflows ends it.
        var folder = Directory.CreateTempSubdirectory("titan-deep").FullName;
        try
        {
            var file = Path.Combine(folder, "deep.toml");
            File.WriteAllText(file, $"{start}{string.Concat(Enumerable.Repeat(open, depth))}{(close.Length > 0 ? "1" : start[0] == '[' ? "]\nb = 1" : " = 1")}{string.Concat(Enumerable.Repeat(close, depth))}\n");
            var (exit, output) = TitanProcess.Run(["config", "show", "--job.config_file", file]);
            Assert.Equal((int)ExitCode.Usage, exit);
            Assert.Contains(file, output, StringComparison.Ordinal);
            Assert.DoesNotContain("should not happen", output, StringComparison.Ordinal);
            Assert.True(output.Length < 10_000, $"{output.Length} characters");
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    /// <summary>The shipped job files, changed at random places: bytes, pieces of TOML, parts of other files.</summary>
    [Fact]
    public void A_job_file_that_is_changed_at_random_is_read_or_refused()
    {
        var random = new Random(20260701);
        var schema = new ConfigSchema([]);
        var seeds = Directory.GetFiles(Path.Combine(Path.GetDirectoryName(SampleAssets.Root)!, "configs", "llama3"), "*.toml").Order(StringComparer.Ordinal).Select(File.ReadAllText).ToArray();
        string[] pieces = ["[", "]", "[[", "\"", "'''", "\"\"\"", "=", "{", "}", ",", ".", "#", "\n", "\r", "\0", "\\u0000", "\\", "nan", "-inf", "1e999", "0x7fffffffffffffff", "99999999999999999999", "1979-05-27", "true", "𠮷", "training", "steps", "_", "-"];
        var file = Path.GetTempFileName();
        try
        {
            for (var i = 0; i < Cases; i++)
            {
                var text = seeds[random.Next(seeds.Length)];
                for (var edits = random.Next(1, 6); edits > 0; edits--)
                {
                    var at = random.Next(text.Length);
                    var cut = Math.Min(random.Next(0, 12), text.Length - at);
                    var other = seeds[random.Next(seeds.Length)];
                    var from = random.Next(other.Length);
                    var put = random.Next(3) switch { 0 => "", 1 => pieces[random.Next(pieces.Length)], _ => other.Substring(from, Math.Min(random.Next(40), other.Length - from)) };
                    text = text[..at] + put + text[(at + cut)..];
                }

                File.WriteAllText(file, text, new UTF8Encoding(false));
                try
                {
                    _ = new JobConfigReader(schema, ".").Read(["--job.config_file", file]);
                }
                catch (TitanException e)
                {
                    Assert.Equal(ExitCode.Usage, e.Code);
                }
                catch (Exception e)
                {
                    Assert.Fail($"case {i}: {e}\n{text}");
                }
            }
        }
        finally
        {
            File.Delete(file);
        }
    }
}
