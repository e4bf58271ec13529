using System.Text;
using Titan.Training.Data;
using Titan.Training.Tokenizers;

namespace Titan.Training.Chat;

/// <summary>
/// Makes tokens of what a template writes. What is given and what is answered are encoded each on its own, as they are when a model is asked: it sees the tokens of the prompt before
/// there is an answer.
/// </summary>
/// <param name="tokenizer">Makes tokens of text; special tokens are written by their names.</param>
internal sealed class ChatWriter(ITokenizer tokenizer)
{
    private readonly List<int> tokens = [];
    private readonly StringBuilder text = new();
    private bool isAnswer;

    /// <summary>Writes what the model is given.</summary>
    public void Given(string more) => Add(more, false);

    /// <summary>Writes what the model is trained to say.</summary>
    public void Answer(string more) => Add(more, true);

    /// <summary>Writes a token of the tokenizer's own; nothing where it has none.</summary>
    public void Token(int? id, bool isAnswer)
    {
        Flush();
        if (id is { } token) tokens.Add(StreamToken.Of(token, isAnswer, begins: tokens.Count == 0));
    }

    /// <summary>All tokens, as <see cref="StreamToken"/> has them.</summary>
    public IReadOnlyList<int> Finish()
    {
        Flush();
        return tokens;
    }

    private void Add(string more, bool answer)
    {
        if (answer != isAnswer) Flush();
        isAnswer = answer;
        text.Append(more);
    }

    private void Flush()
    {
        // Nothing precedes the first token of a document that it could follow from.
        foreach (var id in tokenizer.Encode(text.ToString())) tokens.Add(StreamToken.Of(id, isAnswer && tokens.Count > 0, begins: tokens.Count == 0));
        text.Clear();
    }
}
