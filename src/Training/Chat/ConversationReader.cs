using System.Text.Json;
using Titan.Abstractions;

namespace Titan.Training.Chat;

/// <summary>
/// Reads conversations as fine-tuning services and TRL have them: <c>messages</c>, a list of <c>role</c> and <c>content</c>, or <c>prompt</c> and <c>completion</c>, two texts or two lists of messages. An assistant's
/// message is an answer unless its <c>weight</c> is 0; in a prompt it never is.
/// </summary>
internal static class ConversationReader
{
    private const string Expected = "expected \"messages\": [{\"role\": \"user\", \"content\": \"...\"}, {\"role\": \"assistant\", \"content\": \"...\"}], or \"prompt\" and \"completion\"";

    private static readonly string[] Roles = ["system", "user", "assistant"];

    /// <summary>Reads an object in JSON.</summary>
    /// <param name="json">The object.</param>
    /// <param name="place">File and line, for messages.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/>, naming the place and what is wrong.</exception>
    public static Conversation Read(string json, string place)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
            return Of(document.RootElement);
        }
        catch (JsonException e)
        {
            throw new TitanException(ExitCode.Data, $"{place}: not valid JSON at byte {e.BytePositionInLine}: {Expected}", e);
        }
        catch (InvalidOperationException e)
        {
            // Half of a surrogate pair, as "\ud83d" alone, is valid JSON and no text.
            throw new TitanException(ExitCode.Data, $"{place}: a text is not valid Unicode: {Expected}", e);
        }
        catch (FormatException e)
        {
            throw new TitanException(ExitCode.Data, $"{place}: {e.Message}", e);
        }
    }

    private static Conversation Of(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new FormatException($"no object: {Expected}");
        if (root.TryGetProperty("tools", out var tools) && tools.GetRawText() is not ("null" or "[]"))
            throw new FormatException("it has \"tools\", which are not served; leave the line out");
        root.TryGetProperty("messages", out var messages);
        root.TryGetProperty("prompt", out var prompt);
        root.TryGetProperty("completion", out var completion);
        return (messages.ValueKind, prompt.ValueKind, completion.ValueKind) switch
        {
            (JsonValueKind.Array, JsonValueKind.Undefined, JsonValueKind.Undefined) => Checked(Messages(messages, "messages", mayAnswer: true)),
            (JsonValueKind.Undefined, JsonValueKind.Array, JsonValueKind.Array) => Checked([.. Messages(prompt, "prompt", mayAnswer: false), .. Messages(completion, "completion", mayAnswer: true)]),
            (JsonValueKind.Undefined, JsonValueKind.String, JsonValueKind.String) when completion.GetString() is { Length: > 0 } answer => new Conversation.Completion(prompt.GetString()!, answer),
            (JsonValueKind.Undefined, JsonValueKind.String, JsonValueKind.String) => throw new FormatException("its \"completion\" is empty: there is nothing to learn"),
            _ => throw new FormatException($"no conversation: {Expected}"),
        };
    }

    private static Conversation.Messages Checked(IReadOnlyList<ChatMessage> messages) =>
        messages.Any(m => m.IsAnswer) ? new Conversation.Messages(messages) : throw new FormatException("no message of an assistant is to be learnt; leave the line out");

    private static List<ChatMessage> Messages(JsonElement list, string name, bool mayAnswer) =>
        [.. list.EnumerateArray().Select((message, i) => Message(message, $"{name}[{i}]", mayAnswer))];

    private static ChatMessage Message(JsonElement message, string name, bool mayAnswer)
    {
        if (message.ValueKind != JsonValueKind.Object) throw new FormatException($"{name} is no object: {Expected}");
        string? role = null, content = null;
        var weight = 1;
        foreach (var field in message.EnumerateObject().Where(f => f.Value.ValueKind != JsonValueKind.Null))
        {
            switch (field.Name)
            {
                case "role": role = Text(field.Value, $"{name}.role"); break;
                case "content": content = Text(field.Value, $"{name}.content"); break;
                case "weight" when field.Value.ValueKind == JsonValueKind.Number && field.Value.TryGetInt32(out weight) && weight is 0 or 1: break;
                case "weight": throw new FormatException($"{name}.weight is {field.Value.GetRawText()}; expected 0 or 1");
                default: throw new FormatException($"{name} has \"{field.Name}\", which is not served: expected role, content and weight");
            }
        }

        if (role is null || content is null) throw new FormatException($"{name} has no {(role is null ? "role" : "content")}: {Expected}");
        if (!Roles.Contains(role)) throw new FormatException($"{name}.role is '{role}'; expected one of {string.Join(", ", Roles)}");
        return new ChatMessage(role, content, mayAnswer && role == "assistant" && weight == 1);
    }

    private static string Text(JsonElement value, string name) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new FormatException($"{name} is {value.ValueKind}; expected a text");
}
