namespace Titan.Training.Chat;

/// <summary>A message of a conversation.</summary>
/// <param name="Role"><c>system</c>, <c>user</c> or <c>assistant</c>.</param>
/// <param name="Content">Its text.</param>
/// <param name="IsAnswer">Whether the model is trained to say it.</param>
public sealed record ChatMessage(string Role, string Content, bool IsAnswer);

/// <summary>An example to learn from: messages, or a text and how it goes on.</summary>
public abstract record Conversation
{
    /// <summary>Messages, which a chat template writes.</summary>
    /// <param name="List">The messages, in order.</param>
    public sealed record Messages(IReadOnlyList<ChatMessage> List) : Conversation;

    /// <summary>A text that no template touches.</summary>
    /// <param name="Prompt">What is given.</param>
    /// <param name="Answer">How it goes on: what the model is trained on.</param>
    public sealed record Completion(string Prompt, string Answer) : Conversation;
}
