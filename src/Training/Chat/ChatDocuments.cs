using Titan.Training.Data;
using Titan.Training.Tokenizers;

namespace Titan.Training.Chat;

/// <summary>Documents that are conversations, of which only the answers are learnt.</summary>
/// <param name="tokenizer">Makes tokens of text.</param>
/// <param name="template">Makes a text of messages.</param>
internal sealed class ChatDocuments(ITokenizer tokenizer, ChatTemplate template) : IDocumentFormat
{
    public ITokenizer Tokenizer => tokenizer;

    public string Hash => $"{tokenizer.Hash},{template.Name}";

    public bool IsWhole => true;

    public string Lacking => "no answer that begins within seq_len";

    public IReadOnlyList<int> Encode(SourceDocument document)
    {
        var writer = new ChatWriter(tokenizer);
        switch (ConversationReader.Read(document.Text, document.Place))
        {
            case Conversation.Completion completion:
                writer.Token(tokenizer.BosId, isAnswer: false);
                writer.Given(completion.Prompt);
                writer.Answer(completion.Answer);
                writer.Token(tokenizer.EosId, isAnswer: true);
                break;
            case Conversation.Messages messages:
                template.Write(messages.List, writer, tokenizer);
                break;
        }

        return writer.Finish();
    }
}
