using System.Text;

namespace Titan.SampleCorpus;

/// <summary>
/// Writes one document at a time from a seeded stream of choices. Each kind has something to learn beyond word frequencies: grammar, agreement of pronouns, facts that are
/// stated and asked for later, sums that are right, sequences that go on.
/// </summary>
internal sealed class DocumentWriter(ulong seed)
{
    private ulong state = seed;

    public string Next() => Below(8) switch
    {
        0 or 1 => Story(),
        2 => Recipe(),
        3 => Dialogue(),
        4 => WeatherReport(),
        5 => Sums(),
        6 => Letter(),
        _ => Questions(),
    };

    /// <summary>Messages about a person, who is asked about in the words of the documents and answered otherwise.</summary>
    public IReadOnlyList<(string Role, string Content)> NextConversation()
    {
        var p = Someone();
        (string Question, string Answer)[] turns =
        [
            ($"Where does {p.Name} come from?", $"{p.Name} comes from {p.Place}."), ($"What is {p.Name}?", $"{p.Name} works as {A(p.Job)}."),
            ($"What animal does {p.Name} have?", $"{p.Name} has {A(p.Colour)} {p.Animal}."), ($"What colour is the {p.Animal}?", $"{Capital(p.Her)} {p.Animal} is {p.Colour}."),
            ($"What is {p.Name}'s surname?", $"{Capital(p.Her)} surname is {p.Surname}."),
        ];
        var first = Below(turns.Length);
        var messages = new List<(string, string)> { ("system", $"{p.Name} {p.Surname} is {A(p.Job)} from {p.Place}. {Capital(p.She)} has {A(p.Colour)} {p.Animal}.") };
        var last = first + Below(3);
        for (var i = first; i <= last; i++)
        {
            var (question, answer) = turns[i % turns.Length];
            messages.AddRange([("user", question), ("assistant", answer)]);
        }

        return messages;
    }

    private Person Someone()
    {
        var woman = Below(2) == 0;
        return new Person(Pick(woman ? Words.Women : Words.Men), woman ? "she" : "he", woman ? "her" : "his", woman ? "her" : "him",
            Pick(Words.Jobs), Pick(Words.Places), Pick(Words.Animals), Pick(Words.Colours), Pick(Words.Qualities), Pick(Words.Surnames));
    }

    private string Story()
    {
        var p = Someone();
        var friend = Someone();
        while (friend.Name == p.Name) friend = Someone();
        var thing = Pick(Words.Things);
        var colour = Pick(Words.Colours);
        var action = Words.Actions[Below(Words.Actions.Length)];
        var room = Pick(Words.Rooms);
        var text = new StringBuilder();
        text.Append($"{p.Name} {p.Surname} was {A(p.Quality)} {p.Job} who lived in {p.Place}. {Capital(p.She)} had {A(p.Colour)} {p.Animal} and {A(colour)} {thing}. ");
        text.Append($"One {Pick(Words.Days)} in {Pick(Words.Months)}, {p.Name} {action.Past} the {thing} in the {room}. ");
        if (Below(2) == 0) text.Append($"The {p.Animal} watched {p.Him} and did not move. ");
        text.Append($"Then {friend.Name} {friend.Surname}, the {friend.Job} from {friend.Place}, came to the {room} and asked about the {thing}. ");
        text.Append(Below(3) switch
        {
            0 => $"\"It is {colour},\" said {p.Name}, \"and it belongs to my {Pick(["mother", "father", "sister", "brother", "uncle"])}.\" ",
            1 => $"\"You may have the {thing},\" said {p.Name}, \"if you give me some {Pick(Words.Foods)}.\" ",
            _ => $"\"I would not sell it,\" said {p.Name}, \"not even for a hundred coins.\" ",
        });
        text.Append($"{friend.Name} was {Pick(Words.Feelings)}, and {friend.She} went back to {friend.Place}. ");
        text.Append($"In the evening {p.Name} sat beside {p.Her} {p.Animal} and was {Pick(Words.Feelings)}.");
        return text.ToString();
    }

    private string Recipe()
    {
        var main = Pick(Words.Foods);
        var second = Pick(Words.Foods);
        while (second == main) second = Pick(Words.Foods);
        var spice = Pick(Words.Spices);
        var count = 2 + Below(10);
        var minutes = 5 * (1 + Below(12));
        return $"How to cook {main} with {second}.\nYou need {Words.Numbers[count]} cups of {main}, some {second} and a little {spice}.\n" +
               $"1. Wash the {main} and cut the {second}.\n2. Put the {main} into a {Pick(["pot", "pan", "bowl"])} and add the {spice}.\n" +
               $"3. Cook it for {minutes} minutes.\n4. Add the {second} and wait for {5 + Below(10)} minutes more.\nServe the {main} and the {second} {Pick(["hot", "warm", "cold"])}, with {Pick(["bread", "butter", "salt", "water"])}.";
    }

    private string Dialogue()
    {
        var a = Someone();
        var b = Someone();
        while (b.Name == a.Name) b = Someone();
        var thing = Pick(Words.Things);
        var text = new StringBuilder($"{a.Name}: Good {Pick(["morning", "evening"])}, {b.Name}. Have you seen my {thing}?\n");
        text.Append($"{b.Name}: What does it look like?\n{a.Name}: It is {Pick(Words.Qualities)} and {a.Colour}.\n");
        var room = Pick(Words.Rooms);
        text.Append($"{b.Name}: I saw {A(a.Colour)} {thing} in the {room}.\n{a.Name}: In the {room}? I was there on {Pick(Words.Days)}.\n");
        text.Append($"{b.Name}: Then ask {Someone().Name}, the {Pick(Words.Jobs)}.\n{a.Name}: Thank you, {b.Name}.");
        return text.ToString();
    }

    private string WeatherReport()
    {
        var place = Pick(Words.Places);
        var first = Below(7);
        var text = new StringBuilder($"Weather in {place}.\n");
        var degrees = Below(20);
        for (var i = 0; i < 4; i++)
        {
            var weather = Pick(Words.Weathers);
            text.Append($"{Words.Days[(first + i) % 7]}: {weather}, {degrees} degrees. ");
            text.Append(degrees < 5 ? "Wear a warm coat.\n" : weather is "rain" or "drizzle" or "hail" or "thunder" ? "Take an umbrella.\n" : "A good day for a walk.\n");
            degrees = Math.Max(0, degrees + Below(7) - 3);
        }

        return text.ToString().TrimEnd();
    }

    private string Sums()
    {
        var text = new StringBuilder();
        for (var i = 0; i < 5; i++)
        {
            int a = Below(11), b = Below(10);
            text.Append(Below(3) switch
            {
                0 => $"{Capital(Words.Numbers[a])} and {Words.Numbers[b]} make {Words.Numbers[a + b]}. ",
                1 => $"{a} + {b} = {a + b}. ",
                _ => $"{a + b} - {b} = {a}. ",
            });
        }

        var start = Below(30);
        var step = 1 + Below(5);
        text.Append("Counting: " + string.Join(", ", Enumerable.Range(0, 8).Select(i => start + i * step)) + ".");
        return text.ToString();
    }

    private string Letter()
    {
        var from = Someone();
        var to = Someone();
        return $"Dear {to.Name},\nI hope that you and your {to.Animal} are well. Here in {from.Place} we had {Pick(Words.Weathers)} all {Pick(["day", "week", "month"])}. " +
               $"My work as {A(from.Job)} keeps me busy, and I have little time for the {Pick(Words.Rooms)}. " +
               $"Please send me the {Pick(Words.Colours)} {Pick(Words.Things)} and some {Pick(Words.Foods)}. I will come to {to.Place} in {Pick(Words.Months)}.\nYour friend,\n{from.Name} {from.Surname}";
    }

    private string Questions()
    {
        var p = Someone();
        var text = new StringBuilder($"{p.Name} {p.Surname} is {A(p.Job)} from {p.Place}. {Capital(p.She)} has {A(p.Colour)} {p.Animal}.\n");
        string[] questions =
        [
            $"Where does {p.Name} come from? From {p.Place}.", $"What is {p.Name}? {Capital(p.She)} is {A(p.Job)}.",
            $"What animal does {p.Name} have? {Capital(p.She)} has {A(p.Animal)}.", $"What colour is the {p.Animal}? It is {p.Colour}.", $"What is {p.Name}'s surname? {p.Surname}.",
        ];
        var first = Below(questions.Length);
        for (var i = 0; i < 3; i++) text.Append(questions[(first + i) % questions.Length]).Append('\n');
        return text.ToString().TrimEnd();
    }

    private string Pick(string[] words) => words[Below(words.Length)];

    /// <summary>splitmix64 (Steele, Lea and Flood, 2014): the same on every platform and version.</summary>
    private int Below(int bound)
    {
        state += 0x9e3779b97f4a7c15;
        var z = state;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return (int)((z ^ (z >> 31)) % (ulong)bound);
    }

    private static string A(string word) => ("aeiou".Contains(word[0]) ? "an " : "a ") + word;

    private static string Capital(string word) => char.ToUpperInvariant(word[0]) + word[1..];

    private sealed record Person(string Name, string She, string Her, string Him, string Job, string Place, string Animal, string Colour, string Quality, string Surname);
}
