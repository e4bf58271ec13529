using System.Globalization;
using Titan.Abstractions;
using Titan.Host.Jobs;
using Titan.Training.Conversion;
using Titan.Training.Models;

namespace Titan.Host.Commands;

/// <summary>Of which model a folder is: what the command says, else what the folder says, else the flavor whose config.json is the folder's.</summary>
internal static class CheckpointModel
{
    private const string Name = "model.name", Flavor = "model.flavor", Assets = "model.hf_assets_path", Type = "checkpoint.export_dtype";

    /// <summary>Converts a folder, and prints what was made.</summary>
    public static void Convert(string from, string to, IReadOnlyList<string> flags, Action<string> note)
    {
        RefuseFlags(flags, "checkpoint convert", Name, Flavor, Assets, Type);
        var summary = FolderSummary.Of(from);
        if (summary.Problems.Count > 0) throw new TitanException(ExitCode.Data, $"'{from}' is damaged:{string.Concat(summary.Problems.Take(20).Select(p => Environment.NewLine + "  " + p))}");
        var session = Open(summary, flags);
        if (session is null)
            throw new TitanException(ExitCode.Usage, $"'{from}' does not say of which model it is: add --model.name NAME --model.flavor FLAVOR");
        var config = session.Job.Config;
        var assets = Gives(session, flags, Assets) ? config.Model.HfAssetsPath : null;
        if (assets is not null && summary.IsHuggingFace) note($"--{Assets} has no effect: a checkpoint of this program holds no tokenizer");
        if (assets is not null && !Directory.Exists(assets)) throw new TitanException(ExitCode.Data, $"{Assets} = '{assets}' does not exist");
        if (assets is null && !summary.IsHuggingFace) note($"no tokenizer is copied; add --{Assets} FOLDER for one");
        using var progress = new ByteProgress();
        var request = new ConversionRequest(from, to, Whole(session))
        {
            Type = Gives(session, flags, Type) ? ModelBuilder.TypeOf(config.Checkpoint.ExportDtype) : null, Assets = assets, Progress = progress.Begin, Note = note,
        };
        var files = summary.IsHuggingFace ? FromHuggingFace.Run(request) : ToHuggingFace.Run(request);
        progress.Dispose();
        var bytes = files.Sum(f => f.Length);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{to}: {(summary.IsHuggingFace ? "a checkpoint of step 0" : "a Hugging Face folder")} of {request.Model.Name}, {bytes / 1e6:N1} MB of tensors in {files.Count} file{(files.Count == 1 ? "" : "s")}"));
    }

    /// <summary>The model that a folder should be of; null where nobody says.</summary>
    public static WholeModel? Find(FolderSummary summary, IReadOnlyList<string> flags, string command)
    {
        RefuseFlags(flags, command, Name, Flavor);
        return Open(summary, flags) is { } session ? Whole(session) : null;
    }

    /// <summary>Refuses flags of a job that a command takes no notice of.</summary>
    public static void RefuseFlags(IReadOnlyList<string> flags, string command, params string[] known)
    {
        foreach (var flag in flags.Where(f => f.StartsWith("--", StringComparison.Ordinal)).Select(KeyOf))
            if (!known.Contains(flag) && !flag.StartsWith("plugins.", StringComparison.Ordinal))
                throw new TitanException(ExitCode.Usage, $"--{flag} has no effect on 'titan {command}', which takes {(known.Length == 0 ? "no key of a job" : string.Join(", ", known.Select(k => "--" + k)))}{Nearest.Hint(flag, known)}");
    }

    /// <summary>A session that names the model; null where nobody does.</summary>
    private static JobSession? Open(FolderSummary summary, IReadOnlyList<string> flags)
    {
        var session = JobSession.Open(flags);
        if (Gives(session, flags, Flavor)) return session;
        if (!Gives(session, flags, Name) && summary.Model is { } origin) return JobSession.Open([.. flags, "--" + Name, origin.Family, "--" + Flavor, origin.Flavor]);
        // Families of plugins are not loaded to be asked: the job names one.
        var family = session.Job.Config.Model.Name;
        return summary.Config is { } config && session.Models.FlavorOf(family, config) is { } fits
            ? JobSession.Open([.. flags, "--" + Flavor, fits])
            : null;
    }

    private static WholeModel Whole(JobSession session)
    {
        var model = session.Job.Config.Model;
        return WholeModel.Of($"{model.Name}/{model.Flavor}", session.Models.Find(model.Name, model.Flavor));
    }

    private static bool Gives(JobSession session, IReadOnlyList<string> flags, string key) => session.Job.Origins.ContainsKey(key) || flags.Any(f => f.StartsWith("--", StringComparison.Ordinal) && KeyOf(f) == key);

    private static string KeyOf(string flag) => flag[2..].Split('=')[0].Replace('-', '_');
}
