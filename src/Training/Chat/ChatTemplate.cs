using Titan.Abstractions;
using Titan.Training.Tokenizers;

namespace Titan.Training.Chat;

/// <summary>How the messages of a conversation become one text. The known ones are those of <see cref="Names"/>.</summary>
/// <param name="Name">As <c>model.chat_template</c> has it.</param>
/// <param name="Marks">The special tokens that it writes; the tokenizer must have each as a token of its own.</param>
/// <param name="Write">Writes a conversation.</param>
internal sealed record ChatTemplate(string Name, IReadOnlyList<string> Marks, Action<IReadOnlyList<ChatMessage>, ChatWriter, ITokenizer> Write)
{
    /// <summary>The name that leaves the choice to the tokenizer's special tokens.</summary>
    public const string Auto = "auto";

    private static readonly ChatTemplate[] All =
    [
        // meta-llama/Meta-Llama-3-8B-Instruct
        Turns("llama3", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        // meta-llama/Llama-4-Scout-17B-16E-Instruct
        Turns("llama4", "<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>"),
        // Qwen's, without its default system message
        new("chatml", ["<|im_start|>", "<|im_end|>"], (messages, to, _) =>
        {
            foreach (var message in messages) Turn(to, message, $"<|im_start|>{message.Role}\n", message.Content, "<|im_end|>", "\n");
        }),
        // deepseek-ai/DeepSeek-V3
        new("deepseek", ["<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"], (messages, to, _) =>
        {
            to.Given("<｜begin▁of▁sentence｜>" + string.Join("\n\n", messages.Where(m => m.Role == "system").Select(m => m.Content)));
            foreach (var message in messages.Where(m => m.Role != "system"))
                Turn(to, message, message.Role == "user" ? "<｜User｜>" : "<｜Assistant｜>", message.Content, message.Role == "user" ? "" : "<｜end▁of▁sentence｜>");
        }),
        // For tokenizers without special tokens for turns
        new("plain", [], (messages, to, tokenizer) =>
        {
            to.Token(tokenizer.BosId, isAnswer: false);
            foreach (var message in messages)
            {
                Turn(to, message, $"{char.ToUpperInvariant(message.Role[0])}{message.Role[1..]}: ", message.Content, "");
                if (message.Role == "assistant") to.Token(tokenizer.EosId, message.IsAnswer);
                to.Given("\n\n");
            }
        }),
    ];

    /// <summary>The names, <see cref="Auto"/> first.</summary>
    public static IReadOnlyList<string> Names { get; } = [Auto, .. All.Select(t => t.Name)];

    /// <summary>Finds a template.</summary>
    /// <param name="name">Its name, or <see cref="Auto"/> for the one whose special tokens the tokenizer has.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <exception cref="TitanException">With <see cref="ExitCode.Data"/> when the tokenizer lacks a token of it, or those of all.</exception>
    public static ChatTemplate Find(string name, ITokenizer tokenizer)
    {
        const string key = "model.chat_template";
        if (name == Auto)
        {
            return All.FirstOrDefault(t => t.Marks.Count > 0 && !Lacking(t).Any())
                ?? throw new TitanException(ExitCode.Data, $"{key} = auto: the tokenizer has the special tokens of no known template ({string.Join(", ", All.Where(t => t.Marks.Count > 0).Select(t => t.Name))}); "
                    + $"set {key} = plain, or model.hf_assets_path to a model's that was made for conversations");
        }

        var template = All.First(t => t.Name == name);
        return Lacking(template).FirstOrDefault() is { } lacking
            ? throw new TitanException(ExitCode.Data, $"{key} = {name}: the tokenizer has no added token '{lacking}', which the template writes; choose another template (auto looks for one), or another model.hf_assets_path")
            : template;

        IEnumerable<string> Lacking(ChatTemplate t) => t.Marks.Where(m => tokenizer.AddedToken(m) is null);
    }

    /// <summary>Turns that begin with the role between two tokens, and end with another.</summary>
    private static ChatTemplate Turns(string name, string begin, string beforeRole, string afterRole, string end) => new(name, [begin, beforeRole, afterRole, end], (messages, to, _) =>
    {
        to.Given(begin);
        foreach (var message in messages) Turn(to, message, $"{beforeRole}{message.Role}{afterRole}\n\n", message.Content.Trim(), end);
    });

    /// <summary>Of an answer, the text and its end are learnt.</summary>
    private static void Turn(ChatWriter to, ChatMessage message, string head, string content, string end, string after = "")
    {
        to.Given(head);
        if (message.IsAnswer) to.Answer(content + end);
        else to.Given(content + end);
        to.Given(after);
    }
}
