using System.CommandLine;
using System.CommandLine.Parsing;
using Titan.Abstractions;
using Titan.Training.Conversion;
using Titan.Training.Models;

namespace Titan.Host.Commands;

/// <summary><c>titan checkpoint</c>: shows, verifies and converts folders of weights, of this program and of Hugging Face.</summary>
internal static class CheckpointCommand
{
    private const string ModelHelp = "--model.name NAME --model.flavor FLAVOR say of which model it is, where the folder does not say";

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print JSON." };
        var inspect = Of("inspect", "Shows what a folder holds: format, step, model, files, tensors with shape and dtype, totals. Reads headers alone.", ["PATH"], [json], (paths, rest, parsed) =>
        {
            CheckpointModel.RefuseFlags(rest, "checkpoint inspect");
            var summary = FolderSummary.Of(paths[0]);
            Console.Write(parsed.GetValue(json) ? CheckpointText.ToJson(summary) + Environment.NewLine : CheckpointText.Render(summary));
            return summary.Problems.Count == 0 ? 0 : (int)ExitCode.Data;
        });
        var verify = Of("verify", $"Reads all of a folder: files, hashes, finite numbers, whole tensors, and that they are those of the model. {ModelHelp}. Exit code 5 when something is wrong.", ["PATH"], [], (paths, rest, _) =>
        {
            var summary = FolderSummary.Of(paths[0]);
            var model = CheckpointModel.Find(summary, rest, "checkpoint verify");
            using var progress = new ByteProgress();
            var verified = FolderVerification.Run(summary, model, progress.Begin, Note);
            progress.Dispose();
            Console.WriteLine($"ok: {verified}{(model is null ? "; of which model they are was not asked (--model.name, --model.flavor)" : $"; they are those of {model.Name}")}");
            return 0;
        });
        var convert = Of("convert",
            "Makes a Hugging Face folder of a checkpoint of this program, or a checkpoint of the weights alone of a Hugging Face folder: which of the two, FROM says. A chunk of a tensor is in memory at a time. " +
            $"{ModelHelp}; --checkpoint.export_dtype DTYPE is the dtype to write (default: as stored); --model.hf_assets_path FOLDER has the tokenizer to copy. TO gets its name when all is written: " +
            "broken off, the same command starts over.", ["FROM", "TO"], [], (paths, rest, _) =>
        {
            CheckpointModel.Convert(paths[0], paths[1], rest, Note);
            return 0;
        });
        return new Command("checkpoint", "Shows, verifies and converts checkpoints of this program and Hugging Face folders.") { convert, inspect, verify };
    }

    private static void Note(string text) => Console.Error.WriteLine($"titan: note: {text}");

    /// <summary>A command that takes folders, its own options, and flags of a job, in any order.</summary>
    private static Command Of(string name, string description, string[] folders, Option[] options, Func<IReadOnlyList<string>, IReadOnlyList<string>, ParseResult, int> run)
    {
        var command = new Command(name, description) { TreatUnmatchedTokensAsErrors = false };
        foreach (var folder in folders) command.Arguments.Add(new Argument<string?>(folder) { Arity = ArgumentArity.ZeroOrOne });
        foreach (var option in options) command.Options.Add(option);
        command.SetAction(parsed =>
        {
            var (paths, rest) = Split([.. parsed.Tokens.Where(t => t.Type is TokenType.Argument or TokenType.Option && options.All(o => o.Name != t.Value)).Select(t => t.Value)]);
            if (rest.FirstOrDefault(t => !t.Contains('.', StringComparison.Ordinal) && t.StartsWith("--", StringComparison.Ordinal)) is { } unknown)
                throw new TitanException(ExitCode.Usage, $"{unknown}: no such option; 'titan checkpoint {name} --help' lists them{Nearest.Hint(unknown, options.Select(o => o.Name))}");
            if (paths.Count != folders.Length)
                throw new TitanException(ExitCode.Usage, $"titan checkpoint {name}: expected {string.Join(" ", folders)}, got {(paths.Count == 0 ? "none" : string.Join(" ", paths))}");
            return run(paths, rest, parsed);
        });
        return command;
    }

    /// <summary>The folders, and the flags of a job with their values. No flag that these commands know is a switch.</summary>
    private static (IReadOnlyList<string> Paths, IReadOnlyList<string> Flags) Split(IReadOnlyList<string> tokens)
    {
        List<string> paths = [], flags = [];
        for (var i = 0; i < tokens.Count; i++)
        {
            if (!tokens[i].StartsWith("--", StringComparison.Ordinal))
            {
                paths.Add(tokens[i]);
                continue;
            }

            flags.Add(tokens[i]);
            if (!tokens[i].Contains('=', StringComparison.Ordinal) && tokens[i].Contains('.', StringComparison.Ordinal) && i + 1 < tokens.Count) flags.Add(tokens[++i]);
        }

        return (paths, flags);
    }
}
