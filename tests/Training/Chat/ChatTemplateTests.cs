using System.Text;
using Titan.Abstractions;
using Titan.Training.Chat;
using Titan.Training.Data;
using Titan.Training.Tests.Tokenizers;
using Titan.Training.Tokenizers;

namespace Titan.Training.Tests.Chat;

/// <summary>What each template makes of a conversation, as the models' own templates do; what is learnt stands in brackets.</summary>
public sealed class ChatTemplateTests : IDisposable
{
    private const string Talk =
        """{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi \n"}, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "See you"}]}""";

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData("llama3", "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n[Hello!<|eot_id|>]" +
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n[See you<|eot_id|>]", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")]
    [InlineData("llama4", "<|begin_of_text|><|header_start|>system<|header_end|>\n\nBe brief.<|eot|><|header_start|>user<|header_end|>\n\nHi<|eot|><|header_start|>assistant<|header_end|>\n\n[Hello!<|eot|>]" +
        "<|header_start|>user<|header_end|>\n\nBye<|eot|><|header_start|>assistant<|header_end|>\n\n[See you<|eot|>]", "<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>")]
    [InlineData("chatml", "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n<|im_start|>assistant\n[Hello!<|im_end|>]\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n[See you<|im_end|>]\n", "<|im_start|>", "<|im_end|>")]
    [InlineData("deepseek", "<｜begin▁of▁sentence｜>Be brief.<｜User｜> Hi \n<｜Assistant｜>[Hello!<｜end▁of▁sentence｜>]<｜User｜>Bye<｜Assistant｜>[See you<｜end▁of▁sentence｜>]",
        "<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>")]
    [InlineData("plain", "<s>System: Be brief.\n\nUser:  Hi \n\n\nAssistant: [Hello!</s>]\n\nUser: Bye\n\nAssistant: [See you</s>]\n\n", "<s>", "</s>")]
    public void A_conversation_is_written_as_the_models_template_does_and_answers_are_learnt_to_their_end(string name, string expected, params string[] marks)
    {
        var tokenizer = Tokenizer(marks);
        Assert.Equal(expected, Shown(tokenizer, ChatTemplate.Find(name, tokenizer), Talk));
        // Special tokens are tokens of their own.
        Assert.All(marks, m => Assert.Equal(expected.Split(m).Length - 1, Tokens(tokenizer, ChatTemplate.Find(name, tokenizer), Talk).Count(t => StreamToken.Id(t) == tokenizer.AddedToken(m))));
        if (name != "plain") Assert.Equal(name, ChatTemplate.Find(ChatTemplate.Auto, tokenizer).Name);
    }

    [Fact]
    public void A_document_begins_with_its_first_token_alone_which_is_no_label()
    {
        var tokenizer = Tokenizer("<s>", "</s>");
        var tokens = Tokens(tokenizer, ChatTemplate.Find("plain", tokenizer), Talk);
        Assert.True(StreamToken.Begins(tokens[0]));
        Assert.DoesNotContain(tokens.Skip(1), StreamToken.Begins);
        // Without a token that begins a text, an answer without a prompt begins it.
        var bare = new CharacterTokens();
        Assert.Equal("a[bc]", Shown(bare, ChatTemplate.Find("plain", bare), """{"prompt": "", "completion": "abc"}"""));
    }

    [Fact]
    public void A_prompt_and_its_completion_are_no_turns()
    {
        var tokenizer = Tokenizer("<|im_start|>", "<|im_end|>", "<s>", "</s>");
        Assert.Equal("<s>The sky is[ blue.</s>]", Shown(tokenizer, ChatTemplate.Find("auto", tokenizer), """{"prompt": "The sky is", "completion": " blue."}"""));
    }

    [Fact]
    public void The_tokens_of_the_prompt_are_those_without_an_answer()
    {
        // "\n" and "\nx" would merge into one token.
        var tokenizer = TokenizerFile.Make(["Ċ Ċ"], "<|im_start|>", "<|im_end|>").With(TokenizerFile.ByteLevel(regex: false)).Load(folder, """{"bos_token": null, "eos_token": "<|im_end|>"}""");
        var tokens = Tokens(tokenizer, ChatTemplate.Find("auto", tokenizer), """{"messages": [{"role": "assistant", "content": "\nx"}]}""");
        Assert.Equal(tokenizer.Encode("<|im_start|>assistant\n"), tokens.TakeWhile(t => t < 0).Select(StreamToken.Id));
    }

    [Fact]
    public void A_tokenizer_without_the_tokens_is_refused_with_the_way_out()
    {
        var tokenizer = Tokenizer("<s>", "</s>");
        var none = Assert.Throws<TitanException>(() => ChatTemplate.Find("auto", tokenizer));
        Assert.Contains("special tokens of no known template (llama3, llama4, chatml, deepseek); set model.chat_template = plain", none.Message, StringComparison.Ordinal);
        var lacking = Assert.Throws<TitanException>(() => ChatTemplate.Find("llama3", tokenizer));
        Assert.Equal((ExitCode.Data, ExitCode.Data), (none.Code, lacking.Code));
        Assert.Contains("model.chat_template = llama3: the tokenizer has no added token '<|begin_of_text|>'", lacking.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_configuration_knows_the_names() => Assert.Equal(ChatTemplate.Names,
        typeof(Titan.Training.Configuration.ModelSection).GetProperty("ChatTemplate")!.GetCustomAttributes(typeof(System.ComponentModel.DataAnnotations.AllowedValuesAttribute), false)
            .Cast<System.ComponentModel.DataAnnotations.AllowedValuesAttribute>().Single().Values.Cast<string>());

    private HuggingFaceTokenizer Tokenizer(params string[] marks)
    {
        var borders = marks.Contains("<s>") ? """{"bos_token": "<s>", "eos_token": "</s>"}""" : """{"bos_token": null, "eos_token": null}""";
        return TokenizerFile.Make(["h e"], marks).SplitAsLlama3().Load(folder, borders);
    }

    private static IReadOnlyList<int> Tokens(ITokenizer tokenizer, ChatTemplate template, string line) => new ChatDocuments(tokenizer, template).Encode(new SourceDocument(line, "here"));

    /// <summary>The text, with what is learnt in brackets.</summary>
    private static string Shown(ITokenizer tokenizer, ChatTemplate template, string line)
    {
        var shown = new StringBuilder();
        var runs = new List<(bool Learnt, List<int> Ids)>();
        foreach (var token in Tokens(tokenizer, template, line))
        {
            if (runs.Count == 0 || runs[^1].Learnt != token >= 0) runs.Add((token >= 0, []));
            runs[^1].Ids.Add(StreamToken.Id(token));
        }

        foreach (var (learnt, ids) in runs) shown.Append(learnt ? $"[{tokenizer.Decode(ids)}]" : tokenizer.Decode(ids));
        return shown.ToString();
    }

    /// <summary>A token a character, and none besides.</summary>
    private sealed class CharacterTokens : ITokenizer
    {
        public int VocabularySize => 1 << 16;

        public int? BosId => null;

        public int? EosId => null;

        public string Hash => "characters";

        public IReadOnlyList<int> Encode(string text) => [.. text.Select(c => (int)c)];

        public string Decode(IEnumerable<int> ids) => string.Concat(ids.Select(i => (char)i));
    }
}
