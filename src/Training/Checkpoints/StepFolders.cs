using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Titan.Abstractions;

namespace Titan.Training.Checkpoints;

/// <summary>The <c>step-N</c> folders under one root: how they are called, which of them are committed, and how one takes or loses its name. For rank 0 alone to change.</summary>
/// <param name="root">The folder that they are in.</param>
/// <param name="warn">Receives warnings.</param>
internal sealed partial class StepFolders(string root, Action<string> warn)
{
    /// <summary>The folder that they are in.</summary>
    public string Root => root;

    /// <summary>All with the name of a step, newest first.</summary>
    public IEnumerable<long> Named => Directory.Exists(root)
        ? Directory.EnumerateDirectories(root).Select(d => StepName().Match(Path.GetFileName(d))).Where(m => m.Success)
            .Select(m => long.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture)).OrderDescending()
        : [];

    /// <summary>Those with a manifest, newest first.</summary>
    public IReadOnlyList<long> Committed => [.. Named.Where(IsCommitted)];

    /// <summary>The folder of a step.</summary>
    public string Of(long step) => Path.Combine(root, $"step-{step}");

    /// <summary>Whether the step's folder has a manifest.</summary>
    public bool IsCommitted(long step) => File.Exists(Path.Combine(Of(step), CheckpointManifest.FileName));

    /// <summary>Makes a folder to write a step into, of a name that no checkpoint has.</summary>
    public string CreateTemporary(long step) => Directory.CreateDirectory(Hidden("step", step)).FullName;

    /// <summary>Gives what was written its step's name. What had the name before goes, when it was a checkpoint, and is set aside when it was something else.</summary>
    public void Commit(string temporary, long step)
    {
        var final = Of(step);
        string? old = null;
        if (Directory.Exists(final) && !IsCommitted(step))
            warn($"'{final}' is no checkpoint of this program and was renamed to {Path.GetFileName(SetAside(step, "other"))}");
        if (Directory.Exists(final))
        {
            old = Hidden("replaced", step);
            Directory.Move(final, old);
        }

        try
        {
            Directory.Move(temporary, final);
        }
        catch (IOException) when (old is not null)
        {
            Directory.Move(old, final);
            throw;
        }

        DirectorySync.Flush(root);
        if (old is not null) Discard(old);
    }

    /// <summary>Renames the checkpoints after a step to <c>step-N.superseded</c>: they are of a line that a run left when it went back to the step.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when one cannot be renamed.</exception>
    public void Supersede(long after)
    {
        // The newest last: where this is cut off, a start goes on with it, as if nobody had gone back.
        var renamed = Committed.Where(s => s > after).Order().Select(s => Path.GetFileName(SetAside(s, "superseded"))).ToList();
        if (renamed.Count == 0) return;
        DirectorySync.Flush(root);
        warn($"training went back to step {after}, and the later checkpoints in '{root}' were renamed to {string.Join(", ", renamed)}; remove them when they are not wanted any more");
    }

    /// <summary>Renames a step's folder to a name that no checkpoint has.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when that may not be done.</exception>
    public string SetAside(long step, string why)
    {
        var aside = $"{Of(step)}.{why}";
        for (var n = 2; Path.Exists(aside); n++) aside = $"{Of(step)}.{why}{n}";
        try
        {
            Directory.Move(Of(step), aside);
            return aside;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TitanException(ExitCode.Data, $"'{Of(step)}' cannot be renamed to {Path.GetFileName(aside)}: {e.Message}; move it away", e);
        }
    }

    /// <summary>Removes a checkpoint, its name first: at no moment is there a checkpoint of which a part is gone.</summary>
    public void Remove(long step)
    {
        var doomed = Hidden("delete", step);
        try
        {
            Directory.Move(Of(step), doomed);
            Failpoint.Hit("during-retention");
            Directory.Delete(doomed, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            warn($"checkpoint step-{step} could not be removed: {e.Message}");
        }
    }

    /// <summary>Removes what an interrupted save or removal left. A checkpoint that was about to be replaced, and was not, comes back.</summary>
    public void RemoveLeftovers()
    {
        foreach (var left in Directory.EnumerateDirectories(root, ".*.tmp"))
        {
            if (Leftover().Match(Path.GetFileName(left)) is not { Success: true } match) continue;
            var final = Of(long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture));
            if (match.Groups[1].Value == "replaced" && !Directory.Exists(final)) Directory.Move(left, final);
            else Directory.Delete(left, recursive: true);
        }
    }

    /// <summary>Deletes a folder that is no checkpoint any more, or not yet, if that can be done.</summary>
    public static void Discard(string folder)
    {
        try
        {
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next start removes it.
            Debug.WriteLine(e);
        }
    }

    private string Hidden(string what, long step) => Path.Combine(root, $".{what}-{step}.{Guid.NewGuid():N}.tmp");

    [GeneratedRegex(@"^step-(0|[1-9][0-9]{0,17})\z")]
    private static partial Regex StepName();

    [GeneratedRegex(@"^\.(step|replaced|delete)-([0-9]{1,18})\.[0-9a-f]{32}\.tmp\z")]
    private static partial Regex Leftover();
}
