using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Files;

namespace Titan.Training.Tokenizers;

/// <summary>The tokens that start and end a document, as a <c>tokenizer_config.json</c> names them.</summary>
/// <param name="Names">The roles <c>bos_token</c> and <c>eos_token</c> that it speaks of; null for "there is none".</param>
internal sealed record DocumentBorders(IReadOnlyDictionary<string, string?> Names)
{
    private const int Largest = 16 << 20;

    /// <summary>What Llama 3 calls them, where nothing is said.</summary>
    private static readonly Dictionary<string, string> Usual = new() { ["bos_token"] = "<|begin_of_text|>", ["eos_token"] = "<|end_of_text|>" };

    /// <summary>Whether the file says that nothing ends a document.</summary>
    public bool DenyEos => Names.TryGetValue("eos_token", out var name) && name is null;

    /// <summary>Reads the file; without one nothing is said.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it is broken.</exception>
    public static DocumentBorders Read(string path)
    {
        if (!RegularFile.IsTaken(path)) return new DocumentBorders(new Dictionary<string, string?>());
        var reader = new TokenizerReader(path);
        return reader.Read(Largest, (root, _) =>
        {
            var names = new Dictionary<string, string?>();
            foreach (var role in Usual.Keys)
            {
                if (root.ValueKind != JsonValueKind.Object) throw reader.Bad("expected an object");
                if (!root.TryGetProperty(role, out var token)) continue;
                if (token.ValueKind == JsonValueKind.Object) token = reader.Required(token, "content");
                names[role] = token.ValueKind is JsonValueKind.String or JsonValueKind.Null
                    ? token.GetString()
                    : throw reader.Bad($"{role} is {token.GetRawText()}; expected a token or null");
            }

            return new DocumentBorders(names);
        });
    }

    /// <summary>The id of a role.</summary>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when it names a token that there is not.</exception>
    public int? Id(string role, IReadOnlyDictionary<string, int> tokens, TokenizerReader reader)
    {
        var named = Names.TryGetValue(role, out var name);
        if (named && name is null) return null;
        if (tokens.TryGetValue(name ?? Usual[role], out var id)) return id;
        return named ? throw reader.Bad($"tokenizer_config.json names '{name}' as {role}, which it does not have") : null;
    }
}
